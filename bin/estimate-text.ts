import type { Estimate } from '../lib/plan/estimate.ts';
import { formatBytes } from '../lib/units.ts';

const dollars = (amount: number) => `$${amount.toFixed(amount < 0.1 ? 4 : 2)}`;

/** An estimate as a person reads it, a line for each thing that it takes. */
export function describeEstimate({
  seconds,
  balance,
  requests,
  bytes,
  lambdaSeconds,
  transitions,
  dollars: cost,
}: Estimate): string {
  const s = (value: number) => `${value.toFixed(1)} s`;
  return [
    `time      ${s(seconds.total)}: plan ${s(seconds.plan)}, convert ${s(seconds.convert)}, complete ${s(seconds.complete)}`,
    `balance   the first worker is idle at ${(100 * balance).toFixed(0)} % of the last one's time`,
    `bytes     ${formatBytes(bytes.read)} read, ${formatBytes(bytes.uploaded)} uploaded, ${formatBytes(bytes.copied)} copied within S3`,
    `requests  ${requests.get} GET, ${requests.put} PUT and COPY: ${dollars(cost.requests)}`,
    `Lambda    ${s(lambdaSeconds)}: ${dollars(cost.lambda)}`,
    `steps     ${transitions} state transitions: ${dollars(cost.transitions)}`,
    `in all    ${dollars(cost.total)}, and ${dollars(cost.storagePerMonth)} a month for as long as the raw disk is kept`,
  ].join('\n');
}
