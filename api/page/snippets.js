// Programs that read exactly the plotted numbers. Belongs here: one for each language. Does not: showing them (export.js).
// Each names the plotted snapshot (`version`), so that it reads the same numbers after a correction too.

import { AHEAD, isFrame, TRAINING } from "./datasets.js";

const FRAMES = { [TRAINING]: ["training_frame", "getTrainingFrame"], [AHEAD]: ["forecast_frame", "getForecastFrame"] };
/** The methods of the Python and the TypeScript client. A dataset is named by the first argument. */
const methodsOf = (plot) => FRAMES[plot] ?? ["history", "getHistory"];
const named = (plot) => (FRAMES[plot] ? [] : [`"${plot}"`]);

/** The address of a question, in a format; a frame has all its columns always. */
export function addressOf({ base, path, query, version, dataset }, format, columns = null) {
  const named = columns && !isFrame(dataset) ? { columns: columns.join(",") } : {};
  return `${new URL(path, base)}?${new URLSearchParams({ ...query, ...named, ...(version ? { version } : {}), format })}`;
}

/** The arguments of a client's method, a line each, as `write` writes a name and its value. */
function argumentLines({ query: { columns: _, ...query }, version, dataset, columns }, write) {
  const { latitude, longitude, start_date: start, end_date: end, ...rest } = query;
  const all = [{ latitude, longitude }, { start, end }, rest, isFrame(dataset) ? {} : { columns }, { version }];
  const lines = all.map((line) => Object.entries(line).filter(([, value]) => value != null).map(([name, value]) => write(name, value)));
  return lines.filter((line) => line.length).map((line) => `${line.join(", ")},`);
}

const PYTHON = (name, value) => `${name}=${Array.isArray(value) ? `[${value.map((one) => `"${one}"`).join(", ")}]` : JSON.stringify(value)}`;
const SCRIPT_NAMES = { start: "start_date", end: "end_date" };
const SCRIPT = (name, value) => `${SCRIPT_NAMES[name] ?? name}: ${JSON.stringify(Array.isArray(value) ? value.join(",") : value)}`;

/** Of each key its condition, as `write` writes it. */
const conditions = (keys, joint, write) => Object.entries(keys).map(([name, value], n) => write(name, value, n)).join(joint);

/** Snippets by language. `question`: base, path, query, version, dataset, columns, keys, and the token's tenant or null. */
export const SNIPPETS = {
  curl: (question) => {
    const header = question.tenant ? ' -H "Authorization: Bearer $TOKEN"' : "";
    // The keys of a row follow its date.
    const rows = conditions(question.keys, " && ", (_, value, n) => `$${n + 2} == ${value}`);
    return `curl --compressed${header} '${addressOf(question, "csv", question.columns)}'${rows && ` | awk -F, 'NR == 1 || ${rows}'`}`;
  },

  Python: (question) => {
    const { base, dataset, columns, keys, tenant } = question;
    const token = tenant ? `, token=os.environ["TOKEN"], tenant_id="${tenant}"` : "";
    const rows = Object.entries(keys).map(([name, value]) => `frame = frame[frame["${name}"] == ${value}]`);
    return [
      ...(tenant ? ["import os"] : []),
      "from city_data_client import CityData",
      "",
      `with CityData("${serviceOf(base)}"${token}) as service:`,
      `    frame = service.${methodsOf(dataset)[0]}(`,
      ...named(dataset).map((name) => `        ${name},`),
      ...argumentLines(question, PYTHON).map((line) => `        ${line}`),
      "    )",
      ...rows,
      `print(frame[${columns.length === 1 ? `"${columns[0]}"` : `[${columns.map((name) => `"${name}"`).join(", ")}]`}])`,
    ].join("\n");
  },

  TypeScript: (question) => {
    const { base, path, dataset, columns, keys, tenant } = question;
    const options = tenant ? ', { token: process.env["TOKEN"] ?? "" }' : "";
    const rows = conditions(keys, " && ", (name, value) => `${name} === ${value}`);
    return [
      'import { CityDataService } from "city-data-client";',
      "",
      `const service = new CityDataService("${serviceOf(base)}"${options});`,
      `const records = await service.${methodsOf(dataset)[1]}(${[...named(dataset), `"${path.split("/")[3]}"`].join(", ")}, {`,
      ...argumentLines(question, SCRIPT).map((line) => `  ${line}`),
      "});",
      `for (const { ${["date", ...Object.keys(keys), ...columns].join(", ")} } of records) {`,
      `  ${rows && `if (${rows}) `}console.log(${["date", ...columns].join(", ")});`,
      "}",
    ].join("\n");
  },

  DuckDB: (question) => {
    const secret = question.tenant ? "CREATE SECRET (TYPE http, BEARER_TOKEN 'TOKEN');\n" : "";
    const rows = conditions(question.keys, " AND ", (name, value) => `${name} = ${value}`);
    const from = `FROM read_parquet('${addressOf(question, "parquet", question.columns)}')`;
    return `${secret}SELECT date, ${question.columns.join(", ")}\n${from}${rows && `\nWHERE ${rows}`};`;
  },

  R: (question) => {
    const headers = question.tenant ? ', headers = c(Authorization = paste("Bearer", Sys.getenv("TOKEN")))' : "";
    const rows = conditions(question.keys, " & ", (name, value) => `records$${name} == ${value}`);
    return [
      `records <- read.csv(url("${addressOf(question, "csv", question.columns)}"${headers}))`,
      'records$date <- as.POSIXct(records$date, format = "%Y-%m-%dT%H:%M:%SZ", tz = "UTC")',
      ...(rows ? [`records <- records[${rows}, ]`] : []),
      `print(records[c(${["date", ...question.columns].map((name) => `"${name}"`).join(", ")})])`,
    ].join("\n");
  },
};

const serviceOf = (base) => base.replace(/\/+$/, "");
