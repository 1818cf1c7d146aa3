// The reader's public routes. Belongs here: asking them, the token, typed problems. Does not: showing anything.

import { AHEAD, TRAINING } from "./datasets.js";
import { text } from "./language.js";

const TOKEN = "city_data_token";
// Any tenant will do where no token is required (AUTH_MODE=none); it is the one that the README uses.
const LOCAL_TENANT = "00000000-0000-4000-8000-000000000001";

/** What kept an answer away: `kind` is token, away, unreachable or refused; `retryS` is set where waiting helps. */
export class Problem extends Error {
  constructor(kind, message, retryS = null) {
    super(message);
    this.kind = kind;
    this.retryS = retryS;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (text) => sessionStorage.setItem(TOKEN, text.trim()),
  forget: () => sessionStorage.removeItem(TOKEN),
};

export const facts = () => ask("page/facts.json");
export const outlines = () => ask("page/vendor/countries.json");
export const cities = () => ask("api/v1/external/cities");

export const availability = (cityId, signal) =>
  ask(`api/v1/external/operations/cities/${encodeURIComponent(cityId)}/availability`, signal);

/** The errors of a dataset's stored forecasts of a city. */
export const skill = (cityId, dataset, signal) => ask(`api/v1/cities/${encodeURIComponent(cityId)}/${dataset}/skill`, signal);

/** The provenance of a city's month, by dataset. */
export const provenance = (cityId, month) => ask(`api/v1/cities/${encodeURIComponent(cityId)}/months/${month}`);

const FRAMES = { [TRAINING]: "operations/training-frame", [AHEAD]: "forecast-frame" };

/** The path of a plot's question without its query. Throws Problem where the token names no tenant. */
export function questionPath(plot, tenantClaim) {
  return `api/v1/tenants/${tenant(tenantClaim)}/external/${FRAMES[plot] ?? `operations/historical-${plot}-optimized`}`;
}

/** The records at a path and query, by date, and the id of the snapshot that they are of. */
export async function history(path, signal) {
  const response = await requested(path, signal);
  return { records: await response.json(), snapshot: response.headers.get("X-Snapshot-Id") };
}

/** The body at a path and query, as bytes. */
export const bytes = async (path, signal) => (await requested(path, signal)).blob();

export function tenant(claim) {
  const bearer = token.get();
  if (!bearer) return LOCAL_TENANT;
  try {
    const claims = Uint8Array.from(atob(bearer.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const tenant = JSON.parse(new TextDecoder().decode(claims))[claim];
    if (typeof tenant === "string") return encodeURIComponent(tenant);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof DOMException || error instanceof TypeError)) throw error;
  }
  throw new Problem("token", text("The token names no tenant: it has no claim {claim}, so it reads no history.", { claim }));
}

const ask = async (path, signal) => (await requested(path, signal)).json();

async function requested(path, signal) {
  const bearer = token.get();
  let response;
  try {
    response = await fetch(path, { signal, headers: bearer ? { Authorization: `Bearer ${bearer}` } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable", text("The service does not answer at this address. Is it still running?"), 5);
  }
  if (!response.ok) throw await problemOf(response, bearer);
  return response;
}

async function problemOf(response, bearer) {
  const detail = await problemText(response);
  const after = Number(response.headers.get("Retry-After")) || 5;
  if (response.status === 401) {
    const refused = text("The token was refused: {detail}", { detail });
    return new Problem("token", bearer ? refused : text("This service answers only callers with a token."));
  }
  if (response.status === 503) return new Problem("away", detail, after);
  if (response.status === 429) return new Problem("away", text("Too many questions in a short time."), after);
  return new Problem("refused", `${response.status}: ${detail}`);
}

/** The answer's own words, in either of its error shapes, or its status where it has none. */
async function problemText(response) {
  const body = await response.text();
  try {
    const { detail } = JSON.parse(body);
    if (typeof detail === "string") return detail;
    if (Array.isArray(detail)) return detail.map((entry) => entry.msg).join("; ");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return response.statusText || text("no reason given");
}
