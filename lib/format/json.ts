/** `JSON.rawJSON`, which TypeScript's library does not know yet: text that is put out as it is. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** JSON with every digit of a bigint: sizes and offsets may be past what a number holds exactly. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_, each: unknown) => (typeof each === 'bigint' ? rawJSON(each.toString()) : each),
    indent,
  );
}
