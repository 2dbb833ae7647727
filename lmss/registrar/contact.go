package registrar

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxContacts is how many Contacts a REGISTER may have.
const MaxContacts = 5

const malformedExpires = 3600

// Contact is one Contact of a REGISTER.
type Contact struct {
	// Raw is the value as sent, without its expires parameter.
	Raw string
	// URI is what stands between the brackets, or before the first semicolon where there are none.
	URI     string
	Expires int // seconds, or Absent
	Q       Q
	// Instance is +sip.instance without quotes and brackets; RegID is reg-id. Zero means absent.
	Instance string
	RegID    int

	parsed contactURI
}

var (
	errTooMany   = fmt.Errorf("more than %d Contacts", MaxContacts)
	errUnclosed  = errors.New("a Contact has a quote or bracket that is not closed")
	errEmptyURI  = errors.New("a Contact has no URI")
	errLine      = errors.New("a Contact has a line end in it")
	errStarMixed = errors.New("* stands beside another Contact")
)

// ParseContacts reads the values of the Contact headers of a REGISTER, in order; each may hold several
// Contacts divided by commas. star is "Contact: *". Its errors are fit for the reason of a 400.
func ParseContacts(values []string) (contacts []Contact, star bool, err error) {
	for _, value := range values {
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, false, errLine // would become a header of its own in the echo
		}
		for value = strings.TrimSpace(value); value != ""; {
			end, err := contactEnd(value)
			if err != nil {
				return nil, false, err
			}
			one := strings.TrimSpace(value[:end])
			value = strings.TrimSpace(strings.TrimPrefix(value[end:], ","))
			if one == "" {
				continue
			}
			if len(contacts) == MaxContacts {
				return nil, false, errTooMany
			}
			if one == "*" {
				star = true
				continue
			}
			c, err := parseContact(one)
			if err != nil {
				return nil, false, err
			}
			contacts = append(contacts, c)
		}
	}
	if star && len(contacts) > 0 {
		return nil, false, errStarMixed
	}
	return contacts, star, nil
}

// contactEnd finds the comma that ends the first Contact, outside quotes and brackets.
func contactEnd(s string) (int, error) { return indexOutside(s, ',') }

// indexOutside finds the first c that stands neither in a quoted string nor in brackets, or len(s).
func indexOutside(s string, c byte) (int, error) {
	quoted, bracket := false, false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case quoted && b == '\\':
			i++
		case b == '"' && !bracket:
			quoted = !quoted
		case quoted:
		case b == '<':
			bracket = true
		case b == '>':
			bracket = false
		case b == c && !bracket:
			return i, nil
		}
	}
	if quoted || bracket {
		return 0, errUnclosed
	}
	return len(s), nil
}

func parseContact(s string) (Contact, error) {
	c := Contact{Expires: Absent, Q: DefaultQ}
	head, err := indexOutside(s, ';')
	if err != nil {
		return c, err
	}
	if c.URI = bracketed(s[:head]); c.URI == "" {
		return c, errEmptyURI
	}
	if c.parsed, err = parseURI(c.URI); err != nil {
		return c, err
	}
	raw := strings.Builder{}
	raw.WriteString(strings.TrimRight(s[:head], " \t"))
	for rest := s[head:]; rest != ""; {
		end, err := indexOutside(rest[1:], ';')
		if err != nil {
			return c, err
		}
		param := rest[1 : 1+end]
		rest = rest[1+end:]
		if c.setParam(param) {
			raw.WriteByte(';')
			raw.WriteString(strings.TrimSpace(param))
		}
	}
	c.Raw = raw.String()
	return c, nil
}

// bracketed is the URI of a name-addr or addr-spec (RFC 3261 §20.10).
func bracketed(s string) string {
	// A quoted display name may hold a bracket too: the last one begins the URI.
	open := strings.LastIndexByte(s, '<')
	if open < 0 {
		return strings.TrimSpace(s)
	}
	uri, _, _ := strings.Cut(s[open+1:], ">")
	return strings.TrimSpace(uri)
}

// setParam takes a header parameter in; false means that the echo leaves it out.
func (c *Contact) setParam(p string) (keep bool) {
	name, value, _ := strings.Cut(p, "=")
	value = strings.TrimSpace(value)
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "expires":
		c.Expires = ParseExpires(value)
		return false
	case "q":
		c.Q = parseQ(value)
	case "+sip.instance":
		c.Instance = strings.Trim(strings.Trim(value, `"`), "<>")
	case "reg-id":
		if n, err := strconv.ParseUint(value, 10, 31); err == nil {
			c.RegID = int(n)
		}
	case "":
		return false
	}
	return true
}

// ParseExpires reads delta-seconds. Above 2^32-1 it is that (RFC 3261 §20.19); a malformed value is 3600
// (RFC 3261 §10.2.1.1).
func ParseExpires(s string) int {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseUint(s, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 1<<32 - 1
	case err != nil:
		return malformedExpires
	}
	return int(n)
}

// parseQ reads a qvalue: 0, 1, or a fraction of up to three digits (RFC 3261 §25.1).
func parseQ(s string) Q {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "1" {
		return DefaultQ
	}
	if (whole != "0" && whole != "") || len(fraction) > 3 {
		return DefaultQ
	}
	n, err := strconv.ParseUint((fraction + "000")[:3], 10, 16)
	if err != nil {
		return DefaultQ
	}
	return Q(n)
}
