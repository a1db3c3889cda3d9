/** Preloaded into docs/examples/webhook.mjs: the keys that Google is said to sign with are those of GOOGLE_KEYS. */
import process from 'node:process';
import { OAuth2Client } from 'google-auth-library';

OAuth2Client.prototype.getFederatedSignonCertsAsync = () =>
  Promise.resolve({ certs: JSON.parse(process.env.GOOGLE_KEYS ?? '{}'), format: 'PEM' });
