/** Whether it asks for a version of PHP, as `8.4`. */
export function isPhpVersion(php: string): boolean {
  return /^\d\.\d{1,2}$/.test(php);
}
