/** Percent-encodes all but RFC 3986's unreserved characters, as Signature Version 4 wants it. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The same for a path: its slashes stay. */
export function uriEncodePath(path: string): string {
  return path.split('/').map(uriEncode).join('/');
}

/** As a form encodes: a space is `+`. Slashes stay. How S3 writes keys in notifications and in encoded listings. */
export function formEncodePath(path: string): string {
  return uriEncodePath(path).replaceAll('%20', '+');
}
