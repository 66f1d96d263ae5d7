import type { RolePlan } from './stack-plan.ts';

/** Built-in roles of Azure (Microsoft, "Azure built-in roles", 2026). */
const ROLES = {
  busOwner: { role: 'Azure Service Bus Data Owner', roleId: '090c5cfd-751d-490a-894a-3ce6f1109419' },
  blobOwner: { role: 'Storage Blob Data Owner', roleId: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' },
  blobContributor: { role: 'Storage Blob Data Contributor', roleId: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' },
  queueContributor: { role: 'Storage Queue Data Contributor', roleId: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' },
  tableContributor: { role: 'Storage Table Data Contributor', roleId: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' },
  metricsPublisher: { role: 'Monitoring Metrics Publisher', roleId: '3913510d-42f4-4e42-8a64-420c390055eb' },
  secretsUser: { role: 'Key Vault Secrets User', roleId: '4633458b-17de-408a-b874-0445c86b69e6' },
} as const;

type Grant = Omit<RolePlan, 'name' | 'holder'> & { readonly noun: string };

/**
 * What both the functions and a developer need to mine. Receiver and Sender would be enough for the messages alone, but
 * the runtime properties of a queue (its depth) and the scaling of Functions by that depth ask for the Manage right;
 * with the right to listen only, Functions falls back to adding one instance at a time. Owner is the one role with all three.
 */
const MINING: readonly Grant[] = [
  {
    noun: 'bus',
    scope: 'serviceBus',
    ...ROLES.busOwner,
    reason: 'Sends, receives and settles messages, and reads how deep the queues are, which needs the Manage right.',
  },
  { noun: 'lake', scope: 'dataAccount', ...ROLES.blobContributor, reason: 'Writes and reads objects of the lake.' },
  { noun: 'ledger', scope: 'dataAccount', ...ROLES.tableContributor, reason: 'Claims, checkpoints, runs and users.' },
  { noun: 'secrets', scope: 'vault', ...ROLES.secretsUser, reason: "Reads the keys that seal users' tokens." },
];

/** What the function host needs for itself: packages, locks of timers, its diagnostics and its telemetry. */
const HOSTING: readonly Grant[] = [
  {
    noun: 'host-blobs',
    scope: 'hostAccount',
    ...ROLES.blobOwner,
    reason: 'The host reads the deployed package and holds the locks of timers, as its documentation asks.',
  },
  { noun: 'host-queues', scope: 'hostAccount', ...ROLES.queueContributor, reason: "The host's own queues." },
  { noun: 'host-tables', scope: 'hostAccount', ...ROLES.tableContributor, reason: "The host's diagnostic events." },
  {
    noun: 'telemetry',
    scope: 'insights',
    ...ROLES.metricsPublisher,
    reason: 'Sends telemetry with an Entra token, because keys are off.',
  },
];

/** Every grant of a stack; those of developers only where there is one. */
export function rolesOf(hasDevelopers: boolean): readonly RolePlan[] {
  const toRole =
    (holder: RolePlan['holder']) =>
    ({ noun, ...grant }: Grant): RolePlan => ({ name: `${holder}-${noun}`, holder, ...grant });
  return [...MINING.map(toRole('functions')), ...HOSTING.map(toRole('functions'))].concat(
    hasDevelopers ? MINING.map(toRole('developer')) : [],
  );
}
