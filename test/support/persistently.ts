/** Has QEMU make a LUKS image: it measures first how fast it derives keys, and at times cannot. Then it is asked again. */
export async function persistently<T>(make: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await make();
    } catch (error) {
      if (attempt === 20 || !String((error as { stderr?: string }).stderr).includes('accurate CPU usage')) throw error;
    }
  }
}
