// Parses Log Analytics queries with Microsoft's own language service, against the tables that they may use.
//
// Called with the folder of the npm package; stdin is {tables: {name: schema}, queries: {name: text}}, stdout
// {name: {columns: [...], problems: [...]}}. The package is two scripts for a page, so they run as scripts.
const fs = require('fs');
const path = require('path');
const vm = require('vm');

global.window = global;
for (const script of ['bridge.js', 'Kusto.Language.Bridge.js']) {
  const file = path.join(process.argv[2], script);
  vm.runInThisContext(fs.readFileSync(file, 'utf8'), file);
}
const {GlobalState, KustoCode, Symbols} = Kusto.Language;

const {tables, queries} = JSON.parse(fs.readFileSync(0, 'utf8'));
const symbols = Object.entries(tables).map(
  ([name, schema]) => new Symbols.TableSymbol.$ctor7(name, `(${schema})`, null)
);
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor('workspace', symbols));

function parsed(text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const found = code.GetDiagnostics();
  const problems = [];
  for (let i = 0; i < found.Count; i++) {
    const {Severity, Start, Message} = found.getItem(i);
    if (Severity === 'Error' || Severity === 'Warning') {
      problems.push(`line ${text.substring(0, Start).split('\n').length}: ${Message}`);
    }
  }
  const columns = [];
  const result = code.ResultType && code.ResultType.Columns;
  for (let i = 0; result && i < result.Count; i++) columns.push(result.getItem(i).Name);
  return {columns, problems};
}

const answers = Object.entries(queries).map(([name, text]) => [name, parsed(text)]);
console.log(JSON.stringify(Object.fromEntries(answers)));
