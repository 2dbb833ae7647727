package federation

import (
	"fmt"
	"strconv"
	"strings"
)

// ParsePattern reads a range of numbers as people write it: "4xxx" are the four-digit numbers that begin with
// 4, "+4420" all that begin so, "4/3-5" those that begin with 4 and have three to five digits. A leading +
// means E.164, else the digits are the domain's own.
func ParsePattern(domain Domain, text string) (NLRI, error) {
	n := NLRI{Domain: domain, Family: Enterprise}
	digits, e164 := strings.CutPrefix(text, "+")
	if e164 {
		n.Family = E164
	}
	digits, lengths, ranged := strings.Cut(digits, "/")
	n.Key = strings.TrimRight(digits, "xX")
	n.MinLen, n.MaxLen = uint8(min(len(n.Key), MaxDigits+1)), MaxDigits
	switch {
	case ranged:
		var err error
		if n.MinLen, n.MaxLen, err = parseLengths(lengths); err != nil || len(n.Key) < len(digits) {
			return NLRI{}, badPattern(text)
		}
	case len(n.Key) < len(digits):
		n.MinLen = uint8(min(len(digits), MaxDigits+1))
		n.MaxLen = n.MinLen
	}
	if n.Key == "" || int(n.MinLen) < len(n.Key) || n.Check() != nil {
		return NLRI{}, badPattern(text)
	}
	return n, nil
}

func parseLengths(text string) (minLen, maxLen uint8, err error) {
	low, high, two := strings.Cut(text, "-")
	if !two {
		high = low
	}
	least, err := strconv.ParseUint(low, 10, 8)
	if err != nil {
		return 0, 0, err
	}
	most, err := strconv.ParseUint(high, 10, 8)
	return uint8(least), uint8(most), err
}

func badPattern(text string) error {
	return fmt.Errorf("%q: digits, and an x for each that may be any, are wanted here, such as 4xxx or +4420", text)
}

// Pattern is a range of numbers as ParsePattern reads it; other destinations are as String says them.
func (n NLRI) Pattern() string {
	if !n.Family.Digits() {
		return n.String()
	}
	text := n.Key
	if n.Family == E164 {
		text = "+" + text
	}
	switch {
	case n.MinLen == n.MaxLen:
		return text + strings.Repeat("x", max(0, int(n.MaxLen)-len(n.Key)))
	case int(n.MinLen) == len(n.Key) && n.MaxLen == MaxDigits:
		return text
	}
	return n.String()
}
