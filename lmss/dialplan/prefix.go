package dialplan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// Prefix is a range of numbers: those that begin with Digits and have MinLength to MaxLength digits in
// all, not counting a leading +. Zero MinLength is the length of Digits, zero MaxLength is MaxDigits.
type Prefix struct {
	Digits               string
	MinLength, MaxLength int
}

// MaxDigits is the longest number that there is: E.164 has 15 digits, private plans and codes may have more.
const MaxDigits = 32

var errNoDigits = errors.New("a prefix is one or more digits, with a leading + if it is international")

// Validate says what is wrong with the prefix.
func (p Prefix) Validate() error {
	if !isNumber(p.Digits) {
		return fmt.Errorf("prefix %q: %w", p.Digits, errNoDigits)
	}
	n := digits(p.Digits)
	if p.minLength() < n || p.maxLength() < p.minLength() || p.maxLength() > MaxDigits {
		return fmt.Errorf("prefix %q: its numbers have %d to %d digits; it must be %d to %d at most, the shorter first",
			p.Digits, p.minLength(), p.maxLength(), n, MaxDigits)
	}
	return nil
}

func (p Prefix) minLength() int {
	if p.MinLength == 0 {
		return digits(p.Digits)
	}
	return p.MinLength
}

func (p Prefix) maxLength() int {
	if p.MaxLength == 0 {
		return MaxDigits
	}
	return p.MaxLength
}

// fit says how a number stands to a range that it begins like.
type fit uint8

const (
	outside fit = iota
	inside
	tooShort
)

func (p Prefix) fit(number federation.Number) fit {
	n := digits(string(number))
	switch {
	case !strings.HasPrefix(string(number), p.Digits) || n > p.maxLength():
		return outside
	case n < p.minLength():
		return tooShort
	}
	return inside
}

// sortedPrefixes puts the longest first, so that the first that fits is the longest match.
func sortedPrefixes(own []Prefix) []Prefix {
	own = slices.Clone(own)
	slices.SortStableFunc(own, func(a, b Prefix) int {
		return cmp.Or(cmp.Compare(len(b.Digits), len(a.Digits)), cmp.Compare(a.Digits, b.Digits))
	})
	return own
}

// isNumber says whether s is digits with an optional leading +.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "+")
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func digits(s string) int { return len(strings.TrimPrefix(s, "+")) }
