// Programs that read exactly the plotted numbers. Belongs here: one for each language. Does not: showing them (panel.js).
// Each names the plotted snapshot (`version`), so that it reads the same numbers after a correction too.

import { capital } from "./words.js";

/** The methods of the Python and the TypeScript client. */
const methodsOf = (dataset) =>
  dataset === "training" ? ["training_frame", "getTrainingFrame"] : [dataset, `getHistorical${capital(dataset)}Optimized`];

/** The address of a question, in a format; a training frame has all its columns always. */
export function addressOf({ base, path, query, version, dataset }, format, column = null) {
  const all = { ...query, ...(column && dataset !== "training" ? { columns: column } : {}), ...(version ? { version } : {}), format };
  return `${new URL(path, base)}?${new URLSearchParams(all)}`;
}

/** Snippets by language. `question`: base, path, query, version, dataset, column, and the token's tenant or null. */
export const SNIPPETS = {
  curl: (question) => {
    const header = question.tenant ? ' -H "Authorization: Bearer $TOKEN"' : "";
    return `curl --compressed${header} '${addressOf(question, "csv", question.column)}'`;
  },

  Python: ({ base, query, version, dataset, column, tenant }) => {
    const token = tenant ? `, token=os.environ["TOKEN"], tenant_id="${tenant}"` : "";
    const lines = [
      `latitude=${query.latitude}, longitude=${query.longitude},`,
      `start="${query.start_date}", end="${query.end_date}",`,
      dataset === "training" ? `resolution="${query.resolution}",` : `columns=["${column}"],`,
      ...(version ? [`version="${version}",`] : []),
    ];
    return [
      ...(tenant ? ["import os"] : []),
      "from city_data_client import CityData",
      "",
      `with CityData("${serviceOf(base)}"${token}) as service:`,
      `    frame = service.${methodsOf(dataset)[0]}(`,
      ...lines.map((line) => `        ${line}`),
      "    )",
      `print(frame["${column}"])`,
    ].join("\n");
  },

  TypeScript: ({ base, path, query, version, dataset, column, tenant }) => {
    const { latitude, longitude, start_date: start, end_date: end, resolution } = query;
    const options = tenant ? ', { token: process.env["TOKEN"] ?? "" }' : "";
    const lines = [
      `latitude: ${latitude}, longitude: ${longitude},`,
      `start_date: "${start}", end_date: "${end}",`,
      dataset === "training" ? `resolution: "${resolution}",` : `columns: "${column}",`,
      ...(version ? [`version: "${version}",`] : []),
    ];
    return [
      'import { CityDataService } from "city-data-client";',
      "",
      `const service = new CityDataService("${serviceOf(base)}"${options});`,
      `const records = await service.${methodsOf(dataset)[1]}("${path.split("/")[3]}", {`,
      ...lines.map((line) => `  ${line}`),
      "});",
      `for (const { date, ${column} } of records) console.log(date, ${column});`,
    ].join("\n");
  },

  DuckDB: (question) => {
    const secret = question.tenant ? "CREATE SECRET (TYPE http, BEARER_TOKEN 'TOKEN');\n" : "";
    return `${secret}SELECT date, ${question.column}\nFROM read_parquet('${addressOf(question, "parquet", question.column)}');`;
  },

  R: (question) => {
    const headers = question.tenant ? ', headers = c(Authorization = paste("Bearer", Sys.getenv("TOKEN")))' : "";
    return [
      `records <- read.csv(url("${addressOf(question, "csv", question.column)}"${headers}))`,
      'records$date <- as.POSIXct(records$date, format = "%Y-%m-%dT%H:%M:%SZ", tz = "UTC")',
      `print(records[c("date", "${question.column}")])`,
    ].join("\n");
  },
};

const serviceOf = (base) => base.replace(/\/+$/, "");
