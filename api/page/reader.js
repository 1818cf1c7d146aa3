// The reader's public routes. Belongs here: asking them, the token, typed problems. Does not: showing anything.

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

/** The path of a city's history between two local days, both included. Throws Problem where the token names no tenant. */
export function historyPath(dataset, city, first, last, tenantClaim) {
  const query = new URLSearchParams({
    latitude: city.latitude,
    longitude: city.longitude,
    start_date: first,
    end_date: last,
  });
  return `api/v1/tenants/${tenant(tenantClaim)}/external/operations/historical-${dataset}-optimized?${query}`;
}

/** The records at a path of historyPath, oldest first. */
export const history = (path, signal) => ask(path, signal);

function tenant(claim) {
  const bearer = token.get();
  if (!bearer) return LOCAL_TENANT;
  try {
    const bytes = Uint8Array.from(atob(bearer.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const tenant = JSON.parse(new TextDecoder().decode(bytes))[claim];
    if (typeof tenant === "string") return encodeURIComponent(tenant);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof DOMException || error instanceof TypeError)) throw error;
  }
  throw new Problem("token", `The token names no tenant: it has no claim ${claim}, so it reads no history.`);
}

async function ask(path, signal) {
  const bearer = token.get();
  let response;
  try {
    response = await fetch(path, { signal, headers: bearer ? { Authorization: `Bearer ${bearer}` } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable", "The service does not answer at this address. Is it still running?", 5);
  }
  if (response.ok) return response.json();
  const detail = await problemText(response);
  const after = Number(response.headers.get("Retry-After")) || 5;
  if (response.status === 401) throw new Problem("token", bearer ? `The token was refused: ${detail}` : "This service answers only callers with a token.");
  if (response.status === 503) throw new Problem("away", detail, after);
  if (response.status === 429) throw new Problem("away", "Too many questions in a short time.", after);
  throw new Problem("refused", `${response.status}: ${detail}`);
}

/** The answer's own words, in either of its error shapes, or its status where it has none. */
async function problemText(response) {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text);
    if (typeof detail === "string") return detail;
    if (Array.isArray(detail)) return detail.map((entry) => entry.msg).join("; ");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return response.statusText || "no reason given";
}
