/** Every method against a running service: `node live.js URL TENANT`. Prints one JSON object of what came out. */

import { CityDataError, CityDataService, type TrafficRecord, type TrainingRecord, type WeatherRecord } from "../src/index.js";

declare const process: { argv: string[]; stdout: { write(text: string): void } };

const [url = "", tenant = ""] = process.argv.slice(2);
const service = new CityDataService(url, { backoffMs: 1 });
const query = { latitude: 40.42, longitude: -3.7, start_date: "2026-10-01", end_date: "2026-10-31" };

const cities = await service.listCities();
const availability = await service.getCityAvailability("madrid");
const weather: WeatherRecord[] = await service.getHistoricalWeatherOptimized(tenant, query);
const traffic: TrafficRecord[] = await service.getHistoricalTrafficOptimized(tenant, query);
const training: TrainingRecord[] = await service.getTrainingFrame(tenant, { ...query, resolution: "daily" });
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
    refusals,
  }),
);
