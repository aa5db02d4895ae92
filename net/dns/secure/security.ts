export { Security } from "../../../sdk/assembly/syscalls";

/** Extended DNS errors (RFC 8914, 4; 27: IANA). */
export const enum DnsError {
  Other = 0,
  UnsupportedAlgorithm = 1,
  UnsupportedDigest = 2,
  Indeterminate = 5,
  Bogus = 6,
  SignatureExpired = 7,
  SignatureNotYetValid = 8,
  KeyMissing = 9,
  SignaturesMissing = 10,
  NoZoneKey = 11,
  NsecMissing = 12,
  Nsec3Iterations = 27,
}

/** The names that RFC 8914 has for them. */
export function dnsErrorName(code: u32): string {
  switch (code) {
    case DnsError.UnsupportedAlgorithm:
      return "Unsupported DNSKEY Algorithm";
    case DnsError.UnsupportedDigest:
      return "Unsupported DS Digest Type";
    case DnsError.Indeterminate:
      return "DNSSEC Indeterminate";
    case DnsError.Bogus:
      return "DNSSEC Bogus";
    case DnsError.SignatureExpired:
      return "Signature Expired";
    case DnsError.SignatureNotYetValid:
      return "Signature Not Yet Valid";
    case DnsError.KeyMissing:
      return "DNSKEY Missing";
    case DnsError.SignaturesMissing:
      return "RRSIGs Missing";
    case DnsError.NoZoneKey:
      return "No Zone Key Bit Set";
    case DnsError.NsecMissing:
      return "NSEC Missing";
    case DnsError.Nsec3Iterations:
      return "Unsupported NSEC3 Iterations Value";
    default:
      return "Other Error";
  }
}
