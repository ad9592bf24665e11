import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';

/** Ports that are free now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

/**
 * Starts `serverless offline`: the functions of serverless.yml behind its routes, bundled as for AWS.
 *
 * @param port Of the HTTP API.
 * @param environment What AWS and the stack would put into the functions' environment.
 * @returns what ends it.
 * @throws Error with what it said, if it does not start.
 */
export async function startOffline(port: number, environment: Readonly<Record<string, string>>): Promise<() => void> {
  const [lambda, websocket, alb] = await freePorts(3);
  const ports = [`--httpPort=${port}`, `--lambdaPort=${lambda}`, `--websocketPort=${websocket}`, `--albPort=${alb}`];
  // It takes an authorizer of IAM for one of JWT.
  const options = ['--noAuth', '--noSponsor', '--host=127.0.0.1', '--stage=test'];
  const { PATH, HOME } = process.env;
  const offline = spawn('serverless', ['offline', 'start', ...options, ...ports], {
    env: { PATH, HOME, ...environment, AWS_EC2_METADATA_DISABLED: 'true', SLS_TELEMETRY_DISABLED: '1', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ready = Promise.withResolvers<void>();
  let said = '';
  for (const stream of [offline.stdout, offline.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk;
      if (said.includes(`Server ready: http://127.0.0.1:${port}`)) ready.resolve();
      // What the plugin fails at it only tells; its process stays.
      if (/^Error:/m.test(said)) ready.reject(new Error(said));
    });
  offline.once('exit', () => ready.reject(new Error(said)));
  const close = () => void offline.kill('SIGKILL');
  await ready.promise.catch((error) => {
    close();
    throw error;
  });
  return close;
}
