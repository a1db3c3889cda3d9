import type { Dashboard, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard';

export interface PanelQuery {
  readonly panel: string;
  readonly expr: string;
}

/** Every query of a dashboard. */
export const queriesOf = ({ panels = [] }: Dashboard): PanelQuery[] =>
  panels.filter(isPanel).flatMap(({ title = '', targets = [] }) =>
    targets.flatMap((target) => {
      const { expr } = target as { readonly expr?: string };
      return expr === undefined ? [] : [{ panel: title, expr }];
    }),
  );

const isPanel = (panel: Panel | RowPanel): panel is Panel => panel.type !== 'row';

/** As Grafana asks it: with its variables filled in, `.*` for those that a viewer has left at “all”. */
export const filledIn = (expr: string, rateInterval: string): string =>
  expr.replaceAll('$__rate_interval', rateInterval).replaceAll(/\$(?:subscription|namespace|model|version)\b/g, '.*');
