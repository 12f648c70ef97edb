/** What commander says about wrong words, as this project says it. Pure. */
export function plainly(message: string): string {
  return message.replace(/^error: /, '').replace(/^command-argument value /, '');
}
