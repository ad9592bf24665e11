/** A command that is loaded when it is asked for: the others, the AWS SDK among them, would take half a second to load. */
export function commandOf<Args extends unknown[]>(load: () => Promise<(...args: Args) => Promise<void>>) {
  return async (...args: Args): Promise<void> => (await load())(...args);
}
