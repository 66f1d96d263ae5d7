import { ManagedIdentityCredential, type TokenCredential } from '@azure/identity';

/** The user-assigned identity of a function app. In a file of its own, so that a bundle holds no other kind of login. */
export function managedIdentity(clientId: string): TokenCredential {
  return new ManagedIdentityCredential({ clientId });
}
