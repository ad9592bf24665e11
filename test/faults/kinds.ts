import type { SeenRequest } from '../support/faulty-s3.ts';

/** What is asked of the store, and by whom. */
export interface Kind {
  /** A function, or `states` for the state machine's own calls. */
  readonly by: string;
  readonly command: string;
  /** Of which object, where that is a case of its own. */
  readonly of?: string;
}

export const nameOf = ({ by, command, of }: Kind): string => `${by} ${command}${of === undefined ? '' : ` of ${of}`}`;

/** Put on each request after it was signed, by the clients of the functions. */
export const BY = 'x-called-by';

/** A job's sealed keys, and the backing file of the image that has one. */
const OBJECTS = ['keys.json', 'base'];

/** Which kind a request is. Nothing for what Step Functions itself does as it runs a Distributed Map. */
export function kindOf({ method, path, headers }: SeenRequest): Kind | undefined {
  const { pathname, searchParams } = new URL(path, 'http://s3');
  const by = String(headers[BY] ?? 'states');
  if (by === 'states' && /\/(items\.jsonl$|results)/.test(decodeURIComponent(pathname))) return undefined;
  const has = (name: string) => searchParams.has(name);
  const copies = headers['x-amz-copy-source'] !== undefined;
  const command = {
    GET: has('uploadId')
      ? 'ListParts'
      : has('uploads')
        ? 'ListMultipartUploads'
        : has('list-type')
          ? 'ListObjectsV2'
          : 'GetObject',
    HEAD: 'HeadObject',
    PUT: has('partNumber') ? (copies ? 'UploadPartCopy' : 'UploadPart') : 'PutObject',
    POST: has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload',
    DELETE: has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject',
  }[method];
  if (command === undefined) return undefined;
  const of = OBJECTS.find((each) => pathname.endsWith(`/${each}`));
  return { by, command, ...(of === undefined ? {} : { of }) };
}
