// A webhook for `imagen setup --completions-push`. It needs google-auth-library: npm install google-auth-library
// WEBHOOK_AUDIENCE and WEBHOOK_SERVICE_ACCOUNT are what was given to `imagen setup` as --push-audience (or the webhook's
// address) and --push-service-account. WEBHOOK_WITHOUT_TOKEN=yes is for emulators, which send no token.
import { createServer } from 'node:http';
import { OAuth2Client } from 'google-auth-library';

const { PORT = '8080', WEBHOOK_AUDIENCE, WEBHOOK_SERVICE_ACCOUNT, WEBHOOK_WITHOUT_TOKEN } = process.env;
const verifies = WEBHOOK_WITHOUT_TOKEN !== 'yes';
if (verifies && !(WEBHOOK_AUDIENCE && WEBHOOK_SERVICE_ACCOUNT)) {
  throw new Error('WEBHOOK_AUDIENCE and WEBHOOK_SERVICE_ACCOUNT: expected both');
}
const google = new OAuth2Client();
/** Ids of the events that were handled. Keep them in a database: Pub/Sub may deliver an event again days later. */
const handled = new Set();

/** Checks Google's signature, the expiry, the audience, and that it is this service account's token. */
async function isFromPubSub(authorization = '') {
  try {
    const idToken = authorization.replace(/^Bearer /, '');
    const ticket = await google.verifyIdToken({ idToken, audience: WEBHOOK_AUDIENCE });
    const { email, email_verified: verified } = ticket.getPayload() ?? {};
    return verified === true && email === WEBHOOK_SERVICE_ACCOUNT;
  } catch (error) {
    console.error(`token refused: ${error.message.split(':')[0]}`); // the rest may have the token in it
    return false;
  }
}

async function handle(request) {
  if (request.method !== 'POST') return 405;
  if (verifies && !(await isFromPubSub(request.headers.authorization))) return 401;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { message } = JSON.parse(Buffer.concat(chunks));
  const completion = JSON.parse(Buffer.from(message.data, 'base64'));
  if (handled.has(completion.eventId)) return 204;
  console.log(completion.jobId ?? completion.group?.id, completion.status ?? completion.type, message.attributes);
  handled.add(completion.eventId);
  return 204;
}

// 102, 200, 201, 202 and 204 ack the message. Anything else, or no answer in 30 s, makes Pub/Sub send it again later.
const server = createServer((request, response) => {
  handle(request)
    .catch((error) => {
      console.error(error);
      return 500;
    })
    .then((code) => response.writeHead(code).end());
});
server.listen(Number(PORT), () => console.log(`listening on ${server.address().port}`));
