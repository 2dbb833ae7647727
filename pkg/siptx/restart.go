package siptx

// CancelFor is the CANCEL of an INVITE of which only the bytes are left, as after a restart
// (RFC 3261 §9.1). extra is whole header lines and may be nil.
func CancelFor(invite, extra []byte) []byte {
	return appendDerived(make([]byte, 0, len(invite)), invite, "CANCEL", nil, extra)
}

// AckFor is the ACK to a failure of such an INVITE (RFC 3261 §17.1.1.3); to is the To value of the response.
func AckFor(invite, to []byte) []byte {
	return appendDerived(make([]byte, 0, len(invite)), invite, "ACK", to, nil)
}
