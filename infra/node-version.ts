/**
 * Major version of Node of the deployed functions, one place for app, bundle and preflight. 22 is the newest that a
 * stack file confirms in the catalogue of Flex Consumption (read 2026-11-23); 24 is not confirmed there, and a version
 * that the region does not have is accepted by Azure and fails later, in the host.
 */
export const FUNCTIONS_NODE = '22';
