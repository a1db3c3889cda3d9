/** The few kinds of panels and variables that all dashboards are made of. */
import {
  BigValueColorMode,
  BigValueGraphMode,
  type DataSourceRef,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  MappingType,
  QueryVariableBuilder,
  RowBuilder,
  TextBoxVariableBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as text from '@grafana/grafana-foundation-sdk/text';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';

/** What a viewer picks: any Prometheus, Managed Prometheus included. */
export const SOURCE: DataSourceRef = { type: 'prometheus', uid: '${datasource}' };

/** Figures of Cloud Monitoring are up to four minutes old, and PromQL by itself looks back for five. */
export const late = (metric: string): string =>
  `last_over_time(pubsub_googleapis_com:${metric}{monitored_resource="pubsub_subscription",subscription_id=~"$subscription"}[10m])`;

export interface PanelOptions {
  /** What it means, and what to do about it: shown where the pointer rests on the title. */
  readonly about: string;
  /** PromQL and the legend of what it gives. */
  readonly queries: readonly (readonly [expr: string, legend: string])[];
  /** Of Grafana's: `s`, `bytes`, `percentunit`, `reqps`, `short` … */
  readonly unit: string;
  /** Of 24. */
  readonly width?: number;
  readonly max?: number;
  readonly stacked?: boolean;
  /** From here on it is drawn in yellow, and in red. */
  readonly warnAt?: number;
  readonly alarmAt?: number;
}

const HEIGHT = 8;

const query = ([expr, legend]: readonly [string, string], index: number, instant: boolean) => {
  const target = new DataqueryBuilder()
    .datasource(SOURCE)
    .expr(expr)
    .legendFormat(legend)
    .refId(String.fromCharCode(65 + index));
  return instant ? target.instant() : target.range();
};

function thresholds({ warnAt, alarmAt }: PanelOptions): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps([
      { value: null, color: 'green' },
      ...(warnAt === undefined ? [] : [{ value: warnAt, color: 'yellow' }]),
      ...(alarmAt === undefined ? [] : [{ value: alarmAt, color: 'red' }]),
    ]);
}

/** Lines over time. */
export function lines(title: string, options: PanelOptions): timeseries.PanelBuilder {
  const { about, queries, unit, width = 8, max, stacked = false } = options;
  const panel = new timeseries.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(SOURCE)
    .unit(unit)
    .min(0)
    .span(width)
    .height(HEIGHT)
    .drawStyle(GraphDrawStyle.Line)
    .lineWidth(1)
    .fillOpacity(stacked ? 40 : 8)
    .showPoints(VisibilityMode.Never)
    .spanNulls(false)
    .stacking(new StackingConfigBuilder().mode(stacked ? StackingMode.Normal : StackingMode.None))
    .thresholds(thresholds(options))
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .targets(queries.map((one, index) => query(one, index, false)));
  return max === undefined ? panel : panel.max(max);
}

/** One number, as it is now, with its way there behind it. */
export function figure(title: string, options: PanelOptions): stat.PanelBuilder {
  const { about, queries, unit, width = 4 } = options;
  return new stat.PanelBuilder()
    .title(title)
    .description(about)
    .datasource(SOURCE)
    .unit(unit)
    .span(width)
    .height(HEIGHT / 2)
    .noValue('–')
    .graphMode(BigValueGraphMode.Area)
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false))
    .thresholds(thresholds(options))
    .targets(queries.map((one, index) => query(one, index, false)));
}

/** One of a few words, for a query that gives their places in the list. */
export function verdict(
  title: string,
  options: Omit<PanelOptions, 'unit'>,
  words: readonly (readonly [text: string, color: string])[],
): stat.PanelBuilder {
  return figure(title, { ...options, unit: 'short' })
    .height(HEIGHT)
    .graphMode(BigValueGraphMode.None)
    .colorMode(BigValueColorMode.Background)
    .mappings([
      {
        type: MappingType.ValueToText,
        options: Object.fromEntries(words.map(([text, color], index) => [String(index), { text, color, index }])),
      },
    ])
    .targets(options.queries.map((one, index) => query(one, index, true)));
}

export const words = (title: string, content: string, width = 24, height = HEIGHT): text.PanelBuilder =>
  new text.PanelBuilder().title(title).mode(text.TextMode.Markdown).content(content).span(width).height(height);

export type Panel = timeseries.PanelBuilder | stat.PanelBuilder | text.PanelBuilder;

/** A dashboard of rows, each a question with the panels that answer it. */
export function dashboard(
  { uid, title, about, variables }: { uid: string; title: string; about: string; variables: readonly Variable[] },
  rows: Readonly<Record<string, readonly Panel[]>>,
): DashboardBuilder {
  const board = new DashboardBuilder(title)
    .uid(uid)
    .description(about)
    .tags(['imagen'])
    .timezone('browser')
    .refresh('30s')
    .time({ from: 'now-1h', to: 'now' })
    .tooltip(DashboardCursorSync.Crosshair)
    .readonly()
    .link(
      new DashboardLinkBuilder('imagen')
        .type(DashboardLinkType.Dashboards)
        .tags(['imagen'])
        .asDropdown(true)
        .keepTime(true)
        .includeVars(true),
    );
  board.withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'));
  for (const variable of variables) board.withVariable(variable);
  let id = 0;
  for (const [question, panels] of Object.entries(rows)) {
    board.withRow(new RowBuilder(question).id(++id));
    for (const panel of panels) board.withPanel(panel.id(++id));
  }
  return board;
}

type Variable = QueryVariableBuilder | TextBoxVariableBuilder;

/** One or several of the values that a label has, all of them at first. */
export function labelVariable(name: string, label: string, metric: string): QueryVariableBuilder {
  const values = `label_values(${metric}, ${name})`;
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(SOURCE)
    .query({ query: values, refId: 'values' })
    .definition(values)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: 'All', value: '$__all' });
}

export const textVariable = (name: string, label: string, value: string, about: string): TextBoxVariableBuilder =>
  new TextBoxVariableBuilder(name)
    .label(label)
    .description(about)
    .defaultValue(value)
    .current({ selected: true, text: value, value });

export const NAMESPACE = labelVariable('namespace', 'Namespace', 'imagen_build_info');
/** Cloud Monitoring's own metrics belong to no namespace. */
export const SUBSCRIPTION = textVariable(
  'subscription',
  'Subscriptions',
  'imagen-jobs-.*',
  'Of jobs: a regular expression',
);
