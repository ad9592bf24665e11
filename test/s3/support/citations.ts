/**
 * Where AWS says it: a page of the API reference by its operation, another page of it, a page of the user guide, or an
 * error code of the API reference's list.
 */
export type Citation = `API_${string}` | `API/${string}` | `userguide/${string}` | `error ${string}`;

const DOCS = 'https://docs.aws.amazon.com/AmazonS3/latest';

/** The page's address. */
export function addressOf(cites: Citation): string {
  if (cites.startsWith('error ')) return `${DOCS}/API/ErrorResponses.html#ErrorCodeList`;
  if (cites.startsWith('API_')) return `${DOCS}/API/${cites}.html`;
  return `${DOCS}/${cites}.html`;
}
