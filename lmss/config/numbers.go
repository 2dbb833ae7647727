package config

import (
	"fmt"
	"strings"

	"github.com/mss-federation/mss/lmss/dialplan"
	"github.com/mss-federation/mss/pkg/federation"
)

// NumberRange is a range of numbers as people write it: "4xxx" are the four-digit numbers that begin with 4, "+4420"
// are all numbers that begin so.
type NumberRange struct{ text string }

// UnmarshalText reads a range.
func (r *NumberRange) UnmarshalText(text []byte) error {
	parsed := NumberRange{text: string(text)}
	if err := parsed.Prefix().Validate(); err != nil {
		return fmt.Errorf("%q: digits, and an x for each that may be any, are wanted here, such as 4xxx or +4420", text)
	}
	*r = parsed
	return nil
}

// String is the range as UnmarshalText reads it.
func (r NumberRange) String() string { return r.text }

// Prefix is the range as the dial plan knows it.
func (r NumberRange) Prefix() dialplan.Prefix {
	digits := strings.TrimRight(r.text, "x")
	p := dialplan.Prefix{Digits: digits}
	if len(digits) < len(r.text) {
		p.MinLength = len(strings.TrimPrefix(r.text, "+"))
		p.MaxLength = p.MinLength
	}
	return p
}

// NLRI is the range as other sites are told of it.
func (r NumberRange) NLRI(domain string) federation.NLRI {
	p := r.Prefix()
	key, international := strings.CutPrefix(p.Digits, "+")
	n := federation.NLRI{
		Domain: federation.Domain(domain), Family: federation.Enterprise, Key: key,
		MinLen: uint8(max(p.MinLength, len(key))), MaxLen: federation.MaxDigits,
	}
	if international {
		n.Family = federation.E164
	}
	if p.MaxLength != 0 {
		n.MaxLen = uint8(p.MaxLength)
	}
	return n
}
