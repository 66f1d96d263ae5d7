import { SETTINGS } from '../runtime/settings.ts';

/** The part of host.json that the app needs; extension 5.x of Service Bus, brought by extension bundle 4. */
export interface HostJson {
  readonly version: '2.0';
  readonly extensionBundle: { readonly id: string; readonly version: string };
  /** `hh:mm:ss`. */
  readonly functionTimeout: string;
  readonly telemetryMode: 'ApplicationInsights';
  readonly concurrency: { readonly dynamicConcurrencyEnabled: boolean; readonly snapshotPersistenceEnabled: boolean };
  readonly extensions: {
    readonly http: { readonly routePrefix: string };
    readonly serviceBus: {
      readonly prefetchCount: number;
      readonly maxConcurrentCalls: number;
      readonly autoCompleteMessages: boolean;
      /** `hh:mm:ss`. */
      readonly maxAutoLockRenewalDuration: string;
    };
  };
  readonly logging: {
    readonly logLevel: Readonly<Record<string, string>>;
    readonly applicationInsights: {
      readonly samplingSettings: {
        readonly isEnabled: boolean;
        readonly maxTelemetryItemsPerSecond: number;
        readonly excludedTypes: string;
      };
    };
  };
}

/**
 * What the Functions host is told. Every message is settled alone (`maxConcurrentCalls` counts single messages), so one
 * that fails does not abandon its neighbours.
 *
 * Article ch. 5; departs: it nests these values in `messageHandlerOptions` and `sessionHandlerOptions`, keys of the
 * extension 4 that extension 5 ignores, so the article's app runs with the defaults.
 */
export function hostJson(): HostJson {
  return {
    version: '2.0',
    extensionBundle: { id: 'Microsoft.Azure.Functions.ExtensionBundle', version: '[4.0.0, 5.0.0)' },
    // A slice ends after SETTINGS.sliceMs; ten minutes are the net below it.
    functionTimeout: '00:10:00',
    // OpenTelemetry would ignore the sampling below.
    telemetryMode: 'ApplicationInsights',
    // It watches the processor and is blind to the upstream's limits, which are what must not be passed.
    concurrency: { dynamicConcurrencyEnabled: false, snapshotPersistenceEnabled: false },
    extensions: {
      http: { routePrefix: 'api' },
      serviceBus: {
        // A prefetched message ages while its lock is not renewed.
        prefetchCount: 0,
        maxConcurrentCalls: SETTINGS.miningConcurrency.cloud,
        autoCompleteMessages: true,
        maxAutoLockRenewalDuration: '00:05:00',
      },
    },
    logging: {
      logLevel: { default: 'Information', 'Host.Results': 'Error', 'Host.Aggregator': 'Information' },
      applicationInsights: {
        // Failures are never sampled away; successes are counted by the aggregator, not one by one.
        samplingSettings: { isEnabled: true, maxTelemetryItemsPerSecond: 5, excludedTypes: 'Exception' },
      },
    },
  };
}
