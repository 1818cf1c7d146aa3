/** Every method against a running service: `node live.js URL TENANT FOLDER`. Prints one JSON object of what came out. */

import { mkdir, symlink } from "node:fs/promises";

import { CityDataError, CityDataService, type Format, type HistoryRecord, MemoryCache, type Skill, type TrafficRecord, type TrainingRecord, type WeatherRecord } from "city-data-client";
import { DiskCache } from "city-data-client/node";

const [url = "", tenant = "", folder = ""] = process.argv.slice(2);
const service = new CityDataService(url, { backoffMs: 1 });
const query = { latitude: 40.42, longitude: -3.7, start_date: "2026-10-01", end_date: "2026-10-31" };

const cities = await service.listCities();
const availability = await service.getCityAvailability("madrid");
const weather: WeatherRecord[] = await service.getHistoricalWeatherOptimized(tenant, query);
const traffic: TrafficRecord[] = await service.getHistoricalTrafficOptimized(tenant, query);
const calendar: HistoryRecord<"calendar">[] = await service.getHistory("calendar", tenant, query);
const leads = await service.getHistory("forecast", tenant, { ...query, columns: "temperature" });
const extremes = await service.getHistory("weather", tenant, { ...query, columns: "temperature_max" });
const skill: Skill = await service.getForecastSkill("madrid");
const training: TrainingRecord[] = await service.getTrainingFrame(tenant, { ...query, resolution: "daily" });
const forecast: TrainingRecord[] = await service.getForecastFrame(tenant, { latitude: 40.42, longitude: -3.7, days: 3 });
const oldWeather = await service.getHistoricalWeather(tenant, query);
const oldTraffic = await service.getHistoricalTraffic(tenant, query);

const refusals: Record<string, unknown>[] = [];
for (const wrong of [
  { ...query, latitude: 0, longitude: 0 },
  { ...query, end_date: "2026-09-01" },
]) {
  try {
    await service.getHistoricalTrafficOptimized(tenant, wrong);
  } catch (error) {
    if (!(error instanceof CityDataError)) throw error;
    refusals.push({ status: error.status, message: error.message, problems: error.problems.length });
  }
}

let schemeless = "";
try {
  new CityDataService("localhost:8000");
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  schemeless = error.message;
}

const formats: Format[] = ["json", "ndjson", "csv", "arrow", "parquet"];
const files: Record<string, string> = {};
for (const format of formats) {
  const bytes = await service.download("traffic", tenant, query, format);
  if (service.about(bytes)?.snapshotId !== service.about(traffic)?.snapshotId) throw new Error(`${format}: another snapshot`);
  files[format] = Buffer.from(bytes).toString("base64");
}
const calendarFile = await service.download("historical-calendar", tenant, query, "csv");
const frame = await service.download("training", tenant, { ...query, resolution: "daily" }, "csv");
const first = await service.download("traffic", tenant, query, "csv");
const size = first.byteLength;
first.fill(0); // the caller's own copy
const again = await service.download("traffic", tenant, query, "csv");

// An answer on disk outlives the service object; a damaged one is asked for again.
const kept = new DiskCache(folder);
const onDisk = () => new CityDataService(url, { cache: kept }).getHistoricalTrafficOptimized(tenant, query);
const fromDisk = [await onDisk(), await onDisk()];

// The least recently used answer leaves a full cache.
const answer = (bytes: number) => ({ headers: { etag: '"1"' }, body: new Uint8Array(bytes) });
// A link to nowhere is an answer that another program has forgotten between the listing and the look.
await mkdir(`${folder}/small`);
await symlink("nowhere", `${folder}/small/gone.answer`);
const small = [new MemoryCache(100), new DiskCache(`${folder}/small`, 400)];
const left: string[][] = [];
for (const cache of small) {
  for (const name of ["a", "b"]) {
    await cache.put(name, answer(40));
    await new Promise((resolve) => setTimeout(resolve, 5)); // the clock of files counts milliseconds
  }
  await cache.get("a");
  await new Promise((resolve) => setTimeout(resolve, 5));
  await cache.put("c", answer(40));
  const names = ["a", "b", "c"];
  left.push((await Promise.all(names.map((name) => cache.get(name)))).flatMap((found, n) => (found ? [names[n] ?? ""] : [])));
}

const volumes: (number | null)[] = traffic.map((record) => record.traffic_volume);
const temperatures: (number | null)[] = weather.map((record) => record.temperature);
process.stdout.write(
  JSON.stringify({
    cities: cities.map((city) => city.city_id),
    weatherRecords: availability.weather_record_count,
    about: service.about(traffic),
    volumes: volumes.length,
    missing: volumes.filter((volume) => volume === null).length,
    temperatures: temperatures.length,
    same: JSON.stringify([oldWeather, oldTraffic]) === JSON.stringify([weather, traffic]),
    holidays: training.filter((day) => day.public_holiday !== null).map((day) => day.local_date),
    trainingMissing: training.filter((day) => day.traffic_volume_missing).length,
    feasts: calendar.filter((day) => day.public_holiday !== null).length,
    leads: leads.length,
    onRequest: extremes.filter(({ temperature_max }) => temperature_max === null).length,
    calendarLines: new TextDecoder().decode(calendarFile).trim().split("\n").length,
    skilledLeads: skill.skill.filter((one) => one.column === "temperature").length,
    forecastColumns: Object.keys(forecast[0] ?? {}).join() === Object.keys(training[0] ?? {}).join(),
    forecastDays: forecast.length,
    refusals,
    schemeless,
    files,
    trainingLines: new TextDecoder().decode(frame).trim().split("\n").length,
    unchanged: again.byteLength === size && again.some((byte) => byte !== 0),
    fromDisk: JSON.stringify(fromDisk) === JSON.stringify([traffic, traffic]),
    left,
  }),
);
