import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Makes a key and a certificate for this machine that signs itself, as files in `dir`. Needs `openssl`. */
export function makeCertificate(dir: string): { readonly keyFile: string; readonly caFile: string } {
  const [keyFile, caFile] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')];
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-days', '2'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, '-keyout', keyFile, '-out', caFile], {
    stdio: 'ignore',
  });
  return { keyFile, caFile };
}
