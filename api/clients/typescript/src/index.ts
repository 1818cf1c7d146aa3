/**
 * Weather and traffic history of cities, from a city_data service.
 *
 * Belongs here: the questions, their errors and retries. Does not: the shapes, which `schema.ts` holds: it is generated
 * from the service's own OpenAPI document (`npm run generate`), so that a renamed field fails to compile.
 */

import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
export type City = Schemas["CityInfoResponse"];
export type Availability = Schemas["DataAvailabilityResponse"];
export type WeatherRecord = Schemas["WeatherRecord"];
export type TrafficRecord = Schemas["TrafficRecord"];
/** A local day or hour: weather, traffic and calendar, and for each value that may be missing whether it is. */
export type TrainingRecord = Schemas["TrainingRecord"];
export type Problem = Schemas["Problem"];

type WeatherPath = "/api/v1/tenants/{tenant_id}/external/operations/historical-weather-optimized";
type TrafficPath = "/api/v1/tenants/{tenant_id}/external/operations/historical-traffic-optimized";
type TrainingPath = "/api/v1/tenants/{tenant_id}/external/operations/training-frame";
/** `start_date` and `end_date` are included; a bare date is that whole local day of the city. */
export type WeatherQuery = paths[WeatherPath]["get"]["parameters"]["query"];
export type TrafficQuery = paths[TrafficPath]["get"]["parameters"]["query"];
export type TrainingQuery = paths[TrainingPath]["get"]["parameters"]["query"];
export type HistoricalRequest = Schemas["HistoricalRequest"];

/** What an answer says of itself. `coverage` is 0..1; `snapshotId`, given as `version`, brings the same answer again. */
export interface About {
  readonly cityId: string | null;
  readonly distanceKm: number | null;
  readonly coverage: number | null;
  readonly snapshotId: string | null;
  readonly servedStart: string | null;
  readonly servedEnd: string | null;
  readonly missingMonths: readonly string[];
}

/** An answer other than 200. `status` is 0 where the service could not be reached. */
export class CityDataError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly problems: readonly Problem[] = [],
  ) {
    super(message);
    this.name = "CityDataError";
  }
}

export interface Options {
  readonly token?: string;
  /** Tries in all, for 429, 502, 503, 504 and a broken connection. */
  readonly attempts?: number;
  /** Milliseconds before the second try, doubled each time, unless the service says how long. */
  readonly backoffMs?: number;
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
}

const RETRIED = new Set([429, 502, 503, 504]);
const LONGEST_WAIT_MS = 30_000;

export class CityDataService {
  readonly #url: string;
  readonly #options: Required<Omit<Options, "token">> & Pick<Options, "token">;
  readonly #about = new WeakMap<object, About>();

  constructor(url: string, options: Options = {}) {
    this.#url = url.replace(/\/+$/, "");
    this.#options = { attempts: 4, backoffMs: 500, timeoutMs: 30_000, fetch: globalThis.fetch, ...options };
  }

  listCities(): Promise<City[]> {
    return this.#ask<City[]>("GET", "/api/v1/external/cities");
  }

  getCityAvailability(cityId: string): Promise<Availability> {
    return this.#ask<Availability>("GET", `/api/v1/external/operations/cities/${encodeURIComponent(cityId)}/availability`);
  }

  getHistoricalWeatherOptimized(tenantId: string, query: WeatherQuery): Promise<WeatherRecord[]> {
    return this.#ask<WeatherRecord[]>("GET", operation(tenantId, "historical-weather-optimized", query));
  }

  getHistoricalTrafficOptimized(tenantId: string, query: TrafficQuery): Promise<TrafficRecord[]> {
    return this.#ask<TrafficRecord[]>("GET", operation(tenantId, "historical-traffic-optimized", query));
  }

  /** A record for every local day (or hour) of the range, also where nothing is stored. */
  getTrainingFrame(tenantId: string, query: TrainingQuery): Promise<TrainingRecord[]> {
    return this.#ask<TrainingRecord[]>("GET", operation(tenantId, "training-frame", query));
  }

  /** @deprecated Use getHistoricalWeatherOptimized. */
  getHistoricalWeather(tenantId: string, request: HistoricalRequest): Promise<WeatherRecord[]> {
    return this.#ask<WeatherRecord[]>("POST", operation(tenantId, "weather/historical"), request);
  }

  /** @deprecated Use getHistoricalTrafficOptimized. */
  getHistoricalTraffic(tenantId: string, request: HistoricalRequest): Promise<TrafficRecord[]> {
    return this.#ask<TrafficRecord[]>("POST", operation(tenantId, "traffic/historical"), request);
  }

  /** What the answer that brought these records said of itself. */
  about(records: readonly object[]): About | undefined {
    return this.#about.get(records);
  }

  async #ask<T extends object>(method: string, path: string, body?: object): Promise<T> {
    const response = await this.#tried(method, path, body);
    if (!response.ok) throw await errorOf(response);
    const answer = (await response.json()) as T;
    this.#about.set(answer, aboutOf(response.headers));
    return answer;
  }

  async #tried(method: string, path: string, body?: object): Promise<Response> {
    const { attempts, backoffMs, timeoutMs, token } = this.#options;
    const headers: Record<string, string> = { Accept: "application/json" };
    if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    for (let attempt = 1; ; attempt += 1) {
      let retryAfter: string | null = null;
      try {
        const response = await this.#options.fetch(this.#url + path, {
          method,
          headers,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(timeoutMs),
        });
        if (!RETRIED.has(response.status) || attempt >= attempts) return response;
        retryAfter = response.headers.get("retry-after");
        await response.body?.cancel();
      } catch (error) {
        if (attempt >= attempts) throw new CityDataError(0, `${this.#url} does not answer: ${String(error)}`);
      }
      const wait = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : backoffMs * 2 ** (attempt - 1);
      await new Promise((resolve) => setTimeout(resolve, Math.min(wait, LONGEST_WAIT_MS)));
    }
  }
}

function operation(tenantId: string, name: string, query: object = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.set(key, String(value));
  }
  const text = parameters.size > 0 ? `?${parameters}` : "";
  return `/api/v1/tenants/${encodeURIComponent(tenantId)}/external/operations/${name}${text}`;
}

function aboutOf(headers: Headers): About {
  const number = (name: string): number | null => {
    const text = headers.get(name);
    return text === null ? null : Number(text);
  };
  return {
    cityId: headers.get("x-city-id"),
    distanceKm: number("x-city-distance-km"),
    coverage: number("x-coverage"),
    snapshotId: headers.get("x-snapshot-id"),
    servedStart: headers.get("x-served-start"),
    servedEnd: headers.get("x-served-end"),
    missingMonths: headers.get("x-missing-months")?.split(",") ?? [],
  };
}

async function errorOf(response: Response): Promise<CityDataError> {
  const text = await response.text();
  let detail: unknown = text.slice(0, 200);
  try {
    detail = (JSON.parse(text) as { detail?: unknown }).detail ?? detail;
  } catch {
    // Not JSON, so no answer of the service's own: the text itself is reported.
  }
  if (Array.isArray(detail)) {
    const problems = detail as Problem[];
    const said = problems.map((problem) => `${problem.loc.join(".")}: ${problem.msg}`).join("; ");
    return new CityDataError(response.status, said, problems);
  }
  return new CityDataError(response.status, `${response.status}: ${String(detail)}`);
}
