/* Phone numbers, read as the daemon reads them. */

/** Read a phone number as E.164; null if it is none. Spaces, dashes, dots, parentheses are notation (E.123). */
export function phoneNumber(text) {
  const compact = text.replace(/[ \-.()]/g, "");
  return /^\+[1-9][0-9]{7,14}$/.test(compact) ? compact : null;
}

/** Say what is wrong with a number, or "" if nothing is. Empty is fine: the file may have one. */
export function numberProblem(text) {
  const compact = text.replace(/[ \-.()]/g, "");
  if (compact === "" || phoneNumber(text)) return "";
  if (/[^+0-9]/.test(compact)) return "A phone number has only digits after its +.";
  if (compact.startsWith("00")) return "Write + instead of 00 before the country code.";
  if (!compact.startsWith("+")) return "Begin with + and the country code, as in +34 600 000 001.";
  const digits = compact.length - 1;
  if (digits < 8) return `That is too short: ${digits} of at least 8 digits.`;
  if (digits > 15) return `That is too long: ${digits} of at most 15 digits.`;
  return "A country code does not begin with 0.";
}
