/**
 * What an answer says of itself, and answers that are errors.
 *
 * Belongs here: headers and error bodies as values. Does not: requests (index.ts).
 */

import type { components } from "./schema.js";

export type Problem = components["schemas"]["Problem"];

/** `coverage` is 0..1; `snapshotId`, given as `version`, brings the same answer again. */
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

export function aboutOf(headers: Readonly<Record<string, string>>): About {
  const number = (name: string): number | null => (headers[name] === undefined ? null : Number(headers[name]));
  return {
    cityId: headers["x-city-id"] ?? null,
    distanceKm: number("x-city-distance-km"),
    coverage: number("x-coverage"),
    snapshotId: headers["x-snapshot-id"] ?? null,
    servedStart: headers["x-served-start"] ?? null,
    servedEnd: headers["x-served-end"] ?? null,
    missingMonths: headers["x-missing-months"]?.split(",") ?? [],
  };
}

export async function errorOf(response: Response): Promise<CityDataError> {
  const text = await response.text();
  let detail: unknown = text.slice(0, 200);
  try {
    detail = (JSON.parse(text) as { detail?: unknown }).detail ?? detail;
  } catch {
    // Not JSON, so no answer of the service's own: the text itself is reported.
  }
  if (Array.isArray(detail)) {
    const problems = detail as Problem[];
    const message = problems.map((problem) => `${problem.loc.join(".")}: ${problem.msg}`).join("; ");
    return new CityDataError(response.status, message, problems);
  }
  return new CityDataError(response.status, `${response.status}: ${String(detail)}`);
}
