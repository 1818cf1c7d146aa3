/**
 * Weather and traffic history of cities, from a city_data service.
 *
 * Belongs here: the questions, their retries, and when a kept answer is used. Does not: the shapes, which `schema.ts` holds:
 * it is generated from the service's own OpenAPI document (`npm run generate`), so that a renamed field fails to compile.
 */

import { type About, aboutOf, CityDataError, errorOf } from "./answers.js";
import { type AnswerCache, type KeptAnswer, MemoryCache } from "./cache.js";
import type { components, paths } from "./schema.js";

export { type About, CityDataError, type Problem } from "./answers.js";
export { type AnswerCache, type KeptAnswer, MemoryCache } from "./cache.js";

type Schemas = components["schemas"];
export type City = Schemas["CityInfoResponse"];
export type Availability = Schemas["DataAvailabilityResponse"];
export type WeatherRecord = Schemas["WeatherRecord"];
export type TrafficRecord = Schemas["TrafficRecord"];
/** A local day or hour: weather, traffic and calendar, and for each value that may be missing whether it is. */
export type TrainingRecord = Schemas["TrainingRecord"];

type WeatherPath = "/api/v1/tenants/{tenant_id}/external/operations/historical-weather-optimized";
type TrafficPath = "/api/v1/tenants/{tenant_id}/external/operations/historical-traffic-optimized";
type TrainingPath = "/api/v1/tenants/{tenant_id}/external/operations/training-frame";
type ForecastPath = "/api/v1/tenants/{tenant_id}/external/forecast-frame";
type QueryOf<Path extends WeatherPath | TrafficPath | TrainingPath> = Omit<paths[Path]["get"]["parameters"]["query"], "format">;
/** `start_date` and `end_date` are included; a bare date is that whole local day of the city. */
export type WeatherQuery = QueryOf<WeatherPath>;
export type TrafficQuery = QueryOf<TrafficPath>;
export type TrainingQuery = QueryOf<TrainingPath>;
type HistoryPrefix = "/api/v1/tenants/{tenant_id}/external/historical-";
/** The datasets of the service, by its own document. */
export type Dataset = { [Path in keyof paths]: Path extends `${HistoryPrefix}${infer Name}` ? Name : never }[keyof paths];
type History<Name extends Dataset> = paths[Extract<keyof paths, `${HistoryPrefix}${Name}`>]["get"];
export type HistoryQuery<Name extends Dataset> = Omit<History<Name>["parameters"]["query"], "format">;
type AnyRecord<Name extends Dataset> = History<Name>["responses"][200]["content"]["application/json"][number];
type Whole<Row> = Row extends { source: string } ? Row : never;
type Chosen<Row> = Row extends { source: string } ? never : Row;
/** A record of a dataset; one of chosen `columns` has these alone, which may be columns that a record has on request. */
export type HistoryRecord<Name extends Dataset, Query = object> = Query extends { columns: string }
  ? Chosen<AnyRecord<Name>>
  : Whole<AnyRecord<Name>>;
/** The errors of a city's stored forecasts: forecast less observed. */
export type Skill = Schemas["SkillResponse"];
/** `days` ahead, from tomorrow on. */
export type ForecastQuery = Omit<NonNullable<paths[ForecastPath]["get"]["parameters"]["query"]>, "format">;
export type HistoricalRequest = Schemas["HistoricalRequest"];

/** The queries of what can be downloaded: frames, and the history of each dataset, such as `historical-calendar`. */
export interface Queries extends Histories {
  readonly weather: WeatherQuery;
  readonly traffic: TrafficQuery;
  readonly training: TrainingQuery;
  readonly forecast: ForecastQuery;
}
type Histories = { readonly [Name in Dataset as `historical-${Name}`]: HistoryQuery<Name> };
const ROUTES = {
  weather: "operations/historical-weather-optimized",
  traffic: "operations/historical-traffic-optimized",
  training: "operations/training-frame",
  forecast: "forecast-frame",
} as const;

/** Forms of a download: JSON array, a JSON object a line, CSV, Arrow IPC stream, Parquet. */
export type Format = "json" | "ndjson" | "csv" | "arrow" | "parquet";
const MEDIA_TYPES: Record<Format, string> = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  csv: "text/csv",
  arrow: "application/vnd.apache.arrow.stream",
  parquet: "application/vnd.apache.parquet",
};

export interface Options {
  readonly token?: string;
  /** Tries in all, for 429, 502, 503, 504 and a broken connection. */
  readonly attempts?: number;
  /** Milliseconds before the second try, doubled each time, unless the service says how long. */
  readonly backoffMs?: number;
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
  /** Answers by their ETag: by default in memory; `DiskCache` of city-data-client/node keeps them; false for none. */
  readonly cache?: AnswerCache | false;
}

const RETRIED = new Set([429, 502, 503, 504]);
const LONGEST_WAIT_MS = 30_000;

export class CityDataService {
  readonly #url: string;
  readonly #options: Required<Omit<Options, "token" | "cache">> & Pick<Options, "token">;
  readonly #cache: AnswerCache | undefined;
  readonly #about = new WeakMap<object, About>();

  /** Throws TypeError for an address that does not begin with http:// or https://. */
  constructor(url: string, options: Options = {}) {
    if (!/^https?:\/\/[^/]/.test(url)) throw new TypeError(`the service's address "${url}" must begin with http:// or https://`);
    const { cache = new MemoryCache(), ...rest } = options;
    this.#url = url.replace(/\/+$/, "");
    this.#options = { attempts: 4, backoffMs: 500, timeoutMs: 30_000, fetch: globalThis.fetch, ...rest };
    this.#cache = cache || undefined;
  }

  listCities(): Promise<City[]> {
    return this.#ask<City[]>("GET", "/api/v1/external/cities");
  }

  getCityAvailability(cityId: string): Promise<Availability> {
    return this.#ask<Availability>("GET", `/api/v1/external/operations/cities/${encodeURIComponent(cityId)}/availability`);
  }

  getHistoricalWeatherOptimized(tenantId: string, query: WeatherQuery): Promise<WeatherRecord[]> {
    return this.#ask<WeatherRecord[]>("GET", operation(tenantId, ROUTES.weather, query));
  }

  getHistoricalTrafficOptimized(tenantId: string, query: TrafficQuery): Promise<TrafficRecord[]> {
    return this.#ask<TrafficRecord[]>("GET", operation(tenantId, ROUTES.traffic, query));
  }

  /** The history of any dataset, by its name: a record for each hour or day, and for each of a forecast's `lead_days`. */
  getHistory<Name extends Dataset, Query extends HistoryQuery<Name>>(
    dataset: Name,
    tenantId: string,
    query: Query,
  ): Promise<HistoryRecord<Name, Query>[]> {
    return this.#ask<HistoryRecord<Name, Query>[]>("GET", operation(tenantId, `historical-${dataset}`, query));
  }

  /** How wrong a city's stored forecasts were, by column, lead and month of the year. */
  getForecastSkill(cityId: string): Promise<Skill> {
    return this.#ask<Skill>("GET", `/api/v1/cities/${encodeURIComponent(cityId)}/forecast/skill`);
  }

  /** A record for every local day (or hour) of the range, also where nothing is stored. */
  getTrainingFrame(tenantId: string, query: TrainingQuery): Promise<TrainingRecord[]> {
    return this.#ask<TrainingRecord[]>("GET", operation(tenantId, ROUTES.training, query));
  }

  /** The days ahead, in exactly the columns of `getTrainingFrame`; `weather_lead_days` is what to train with. */
  getForecastFrame(tenantId: string, query: ForecastQuery): Promise<TrainingRecord[]> {
    return this.#ask<TrainingRecord[]>("GET", operation(tenantId, ROUTES.forecast, query));
  }

  /** The same answers as bytes, in any form: for a file, or for a library that reads Arrow or Parquet. */
  async download<Name extends keyof Queries>(
    dataset: Name,
    tenantId: string,
    query: Queries[Name],
    format: Format,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const answer = await this.#answer("GET", operation(tenantId, routeOf(dataset), query), MEDIA_TYPES[format]);
    const bytes = answer.body.slice(); // the caller's own: a change of it must not change the kept answer
    this.#about.set(bytes, aboutOf(answer.headers));
    return bytes;
  }

  /** @deprecated Use getHistoricalWeatherOptimized. */
  getHistoricalWeather(tenantId: string, request: HistoricalRequest): Promise<WeatherRecord[]> {
    return this.#ask<WeatherRecord[]>("POST", operation(tenantId, "operations/weather/historical"), request);
  }

  /** @deprecated Use getHistoricalTrafficOptimized. */
  getHistoricalTraffic(tenantId: string, request: HistoricalRequest): Promise<TrafficRecord[]> {
    return this.#ask<TrafficRecord[]>("POST", operation(tenantId, "operations/traffic/historical"), request);
  }

  /** What the answer that brought these records, or these bytes, said of itself. */
  about(answer: readonly object[] | Uint8Array): About | undefined {
    return this.#about.get(answer);
  }

  async #ask<T extends object>(method: string, path: string, body?: object): Promise<T> {
    const answer = await this.#answer(method, path, MEDIA_TYPES.json, body);
    const value = JSON.parse(new TextDecoder().decode(answer.body)) as T;
    this.#about.set(value, aboutOf(answer.headers));
    return value;
  }

  /** The answer, from the cache where the service says that it has not changed. Throws CityDataError. */
  async #answer(method: string, path: string, accept: string, body?: object): Promise<KeptAnswer> {
    const cache = method === "GET" ? this.#cache : undefined;
    // A token is another tenant's key: answers are kept by tenant (in the path), never across addresses.
    const name = `${this.#url}${path} ${accept}`;
    const kept = await cache?.get(name);
    const condition: Record<string, string> = kept === undefined ? {} : { "If-None-Match": kept.headers["etag"] ?? "" };
    const response = await this.#tried(method, path, { Accept: accept, ...condition }, body);
    const headers = Object.fromEntries(response.headers.entries());
    if (response.status === 304 && kept !== undefined) return { headers: { ...kept.headers, ...headers }, body: kept.body };
    if (!response.ok) throw await errorOf(response);
    const answer = { headers, body: new Uint8Array(await response.arrayBuffer()) };
    if (headers["etag"] !== undefined) await cache?.put(name, answer);
    return answer;
  }

  async #tried(method: string, path: string, described: Record<string, string>, body?: object): Promise<Response> {
    const { attempts, backoffMs, timeoutMs, token } = this.#options;
    const headers: Record<string, string> = { ...described };
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

/** A history's own name is its route. */
function routeOf(name: keyof Queries): string {
  return name in ROUTES ? ROUTES[name as keyof typeof ROUTES] : name;
}

function operation(tenantId: string, name: string, query: object = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.set(key, String(value));
  }
  const text = parameters.size > 0 ? `?${parameters}` : "";
  return `/api/v1/tenants/${encodeURIComponent(tenantId)}/external/${name}${text}`;
}
