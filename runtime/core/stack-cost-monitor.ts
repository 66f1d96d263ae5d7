import { amountText, DAYS_PER_MONTH, GIB_BYTES } from './cost.ts';
import { type CostResource, type CostScene, listAt, numberAt, textAt, type Usage } from './stack-cost-plan.ts';

/** Days of retention that ingestion pays for. */
const FREE_RETENTION_DAYS = 31;

/** A workspace: what is taken in, up to its daily cap, and what is kept for longer than a month. */
export function workspaceUsage({ inputs }: CostResource, { traffic, workload }: CostScene): readonly Usage[] {
  const sku = textAt(inputs, 'sku', 'name') ?? 'unknown';
  const capGb = numberAt(inputs, 'workspaceCapping', 'dailyQuotaGb');
  const sentGb = (traffic.calls * workload.telemetryBytesPerCall) / GIB_BYTES;
  // -1 means no cap.
  const limitGb = capGb === undefined || capGb < 0 ? Number.POSITIVE_INFINITY : capGb * DAYS_PER_MONTH;
  const gb = Math.min(sentGb, limitGb);
  const cap = limitGb < sentGb ? `, cut to ${capGb} GB a day` : '';
  const why = `${amountText(traffic.calls)} calls x ${workload.telemetryBytesPerCall} B${cap}`;
  const usages: Usage[] = [{ sku, meter: 'loganalytics-gb', quantity: gb, why }];
  const days = (numberAt(inputs, 'retentionInDays') ?? FREE_RETENTION_DAYS) - FREE_RETENTION_DAYS;
  if (days > 0) {
    const kept = `${amountText(gb)} GB a month kept for ${days} days beyond ${FREE_RETENTION_DAYS}`;
    usages.push({ sku, meter: 'loganalytics-retention-gb', quantity: (gb * days) / DAYS_PER_MONTH, why: kept });
  }
  return usages;
}

/** A metric alert is paid by the time series that it watches: every value of its dimensions, criterion and scope. */
export function metricAlertUsage({ inputs }: CostResource): readonly Usage[] {
  const criteria = listAt(inputs, 'criteria', 'allOf');
  const scopes = Math.max(1, listAt(inputs, 'scopes').length);
  const seriesOf = (criterion: unknown): number =>
    listAt(criterion, 'dimensions').reduce<number>(
      (product, dimension) => product * Math.max(1, listAt(dimension, 'values').length),
      1,
    );
  const isDynamic = (criterion: unknown): boolean => textAt(criterion, 'criterionType') === 'DynamicThresholdCriterion';
  const countOf = (list: readonly unknown[]): number =>
    scopes * list.reduce<number>((sum, criterion) => sum + seriesOf(criterion), 0);
  const series = Math.max(1, countOf(criteria));
  const dynamic = countOf(criteria.filter(isDynamic));
  const sku = 'metric alert';
  const usages: Usage[] = [{ sku, meter: 'alert-metric-series', quantity: series, why: `${series} time series` }];
  if (dynamic > 0)
    usages.push({ sku, meter: 'alert-dynamic-series', quantity: dynamic, why: `${dynamic} with dynamic thresholds` });
  return usages;
}

const LOG_ALERT_METERS: Readonly<Record<string, string>> = {
  PT5M: 'alert-log-5-minutes',
  PT15M: 'alert-log-15-minutes',
};

/** A log alert is paid by how often it looks. */
export function logAlertUsage({ inputs }: CostResource): readonly Usage[] {
  const every = textAt(inputs, 'evaluationFrequency') ?? 'unknown';
  const meter = LOG_ALERT_METERS[every] ?? `alert-log-${every.toLowerCase()}`;
  return [{ sku: `log alert ${every}`, meter, quantity: 1, why: 'one rule' }];
}

/** Mails are free far beyond what alerts send; texts and calls are not. */
export function actionGroupUsage({ inputs }: CostResource): readonly Usage[] | string {
  const loud = [...listAt(inputs, 'smsReceivers'), ...listAt(inputs, 'voiceReceivers')].length;
  if (loud === 0) return 'the first 1,000 mails a month are free';
  return [{ sku: 'texts and calls', meter: 'alert-texts', quantity: undefined, why: `${loud} receivers by telephone` }];
}
