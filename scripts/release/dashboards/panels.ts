/** The schema of the dashboards in this folder, and the Grafana panels made from it. */
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as grafana from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as text from '@grafana/grafana-foundation-sdk/text';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import { z } from 'zod';

/** What a viewer picks: any Prometheus, Managed Prometheus included. */
const SOURCE: common.DataSourceRef = { type: 'prometheus', uid: '${datasource}' };

/** PromQL by the legend of what it gives. */
const queries = z.record(z.string(), z.string());
const shared = {
  /** What it means, and what to do about it: shown where the pointer rests on the title. */
  about: z.string(),
  queries,
};
const drawn = {
  ...shared,
  /** One of Grafana's units: `s`, `bytes`, `percentunit`, `reqps`, `short` … */
  unit: z.string(),
  width: z.number().optional(),
  max: z.number().optional(),
  stacked: z.boolean().optional(),
  /** From here on it is drawn in yellow, and in red. */
  warnAt: z.number().optional(),
  alarmAt: z.number().optional(),
};
const panelSchema = z.union([
  z.strictObject({ lines: z.string(), ...drawn }),
  z.strictObject({ figure: z.string(), ...drawn }),
  /** `words`: colours by the word, for a query that gives the place of one of them in this list. */
  z.strictObject({ verdict: z.string(), ...shared, words: z.record(z.string(), z.string()) }),
  z.strictObject({ words: z.string(), content: z.string() }),
]);
const variableSchema = z.union([
  /** One or several of the values that a label of this metric has, all of them at first. */
  z.strictObject({ name: z.string(), label: z.string(), metric: z.string() }),
  z.strictObject({ name: z.string(), label: z.string(), value: z.string(), about: z.string() }),
]);

/** A file of this folder. Its rows are questions, each with the panels that answer it. */
export const boardSchema = z.strictObject({
  uid: z.string(),
  title: z.string(),
  about: z.string(),
  variables: z.array(variableSchema),
  links: z.array(z.strictObject({ title: z.string(), url: z.string(), tooltip: z.string() })).default([]),
  rows: z.record(z.string(), z.array(panelSchema)),
});
type Drawn = z.infer<z.ZodObject<typeof drawn>>;

const HEIGHT = 8;

const targets = (queries: Drawn['queries'], { instant = false } = {}) =>
  Object.entries(queries).map(([legend, expr], index) => {
    const target = new DataqueryBuilder()
      .datasource(SOURCE)
      .expr(expr)
      .legendFormat(legend)
      .refId(String.fromCharCode(65 + index));
    return instant ? target.instant() : target.range();
  });

function thresholds({ warnAt, alarmAt }: Drawn): grafana.ThresholdsConfigBuilder {
  return new grafana.ThresholdsConfigBuilder()
    .mode(grafana.ThresholdsMode.Absolute)
    .steps([
      { value: null, color: 'green' },
      ...(warnAt === undefined ? [] : [{ value: warnAt, color: 'yellow' }]),
      ...(alarmAt === undefined ? [] : [{ value: alarmAt, color: 'red' }]),
    ]);
}

function lines(title: string, options: Drawn): timeseries.PanelBuilder {
  const { about, queries, unit, width = 8, max, stacked = false } = options;
  const panel = new timeseries.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(SOURCE)
    .unit(unit)
    .min(0)
    .span(width)
    .height(HEIGHT)
    .drawStyle(common.GraphDrawStyle.Line)
    .lineWidth(1)
    .fillOpacity(stacked ? 40 : 8)
    .showPoints(common.VisibilityMode.Never)
    .spanNulls(false)
    .stacking(new common.StackingConfigBuilder().mode(stacked ? common.StackingMode.Normal : common.StackingMode.None))
    .thresholds(thresholds(options))
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    )
    .targets(targets(queries));
  return max === undefined ? panel : panel.max(max);
}

/** One number: its current value, in front of its history. */
function figure(title: string, options: Drawn): stat.PanelBuilder {
  const { about, queries, unit, width = 4 } = options;
  return new stat.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(SOURCE)
    .unit(unit)
    .span(width)
    .height(HEIGHT / 2)
    .noValue('–')
    .graphMode(common.BigValueGraphMode.Area)
    .colorMode(common.BigValueColorMode.Value)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false))
    .thresholds(thresholds(options))
    .targets(targets(queries));
}

/** One of a few words, for a query that gives their places in the list. */
function verdict(title: string, shown: Omit<Drawn, 'unit'>, words: Readonly<Record<string, string>>) {
  const options = Object.fromEntries(
    Object.entries(words).map(([text, color], index) => [String(index), { text, color, index }]),
  );
  return figure(title, { ...shown, unit: 'short' })
    .height(HEIGHT)
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Background)
    .mappings([{ type: grafana.MappingType.ValueToText, options }])
    .targets(targets(shown.queries, { instant: true }));
}

const words = (title: string, content: string): text.PanelBuilder =>
  new text.PanelBuilder().title(title).mode(text.TextMode.Markdown).content(content).span(24).height(HEIGHT);

function panel(one: z.infer<typeof panelSchema>): timeseries.PanelBuilder | stat.PanelBuilder | text.PanelBuilder {
  if ('lines' in one) return lines(one.lines, one);
  if ('figure' in one) return figure(one.figure, one);
  return 'verdict' in one ? verdict(one.verdict, one, one.words) : words(one.words, one.content);
}

function variable(one: z.infer<typeof variableSchema>): grafana.QueryVariableBuilder | grafana.TextBoxVariableBuilder {
  if ('value' in one) {
    return new grafana.TextBoxVariableBuilder(one.name)
      .label(one.label)
      .description(one.about)
      .defaultValue(one.value)
      .current({ selected: true, text: one.value, value: one.value });
  }
  const values = `label_values(${one.metric}, ${one.name})`;
  return new grafana.QueryVariableBuilder(one.name)
    .label(one.label)
    .datasource(SOURCE)
    .query({ query: values, refId: 'values' })
    .definition(values)
    .refresh(grafana.VariableRefresh.OnTimeRangeChanged)
    .sort(grafana.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: 'All', value: '$__all' });
}

export function dashboard({ uid, title, about, variables, links, rows }: z.infer<typeof boardSchema>) {
  const others = new grafana.DashboardLinkBuilder('imagen')
    .type(grafana.DashboardLinkType.Dashboards)
    .tags(['imagen'])
    .asDropdown(true)
    .keepTime(true)
    .includeVars(true);
  const board = new grafana.DashboardBuilder(title)
    .uid(uid)
    .description(about)
    .tags(['imagen'])
    .timezone('browser')
    .refresh('30s')
    .time({ from: 'now-1h', to: 'now' })
    .tooltip(grafana.DashboardCursorSync.Crosshair)
    .readonly()
    .link(others);
  for (const { title, url, tooltip } of links) {
    board.link(
      new grafana.DashboardLinkBuilder(title)
        .type(grafana.DashboardLinkType.Link)
        .url(url)
        .tooltip(tooltip)
        .targetBlank(true),
    );
  }
  board.withVariable(new grafana.DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'));
  for (const one of variables) board.withVariable(variable(one));
  let id = 0;
  for (const [question, panels] of Object.entries(rows)) {
    board.withRow(new grafana.RowBuilder(question).id(++id));
    for (const one of panels) board.withPanel(panel(one).id(++id));
  }
  return board;
}
