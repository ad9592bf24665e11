/** Serves a data folder until it is killed: `node serve.ts DIR ACCESS_KEY_ID SECRET`. Prints its endpoint. */
import { startLocalS3 } from '../../../infra/local/s3/server.ts';

const [, , dir = '', accessKeyId = '', secretAccessKey = ''] = process.argv;
const { endpoint } = await startLocalS3({ dir, credentials: { accessKeyId, secretAccessKey } });
process.stdout.write(`${endpoint}\n`);
