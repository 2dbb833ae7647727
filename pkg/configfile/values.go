package configfile

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: "512KiB", "8MiB", "1GiB" in powers of 1024, "500kB", "8MB", "1GB" in
// powers of 1000, "100B".
type Size int64

// The units, longest name first so that "KiB" is not read as "B".
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/unit.bytes {
			break
		}
		*s = Size(n * unit.bytes)
		return nil
	}
	return fmt.Errorf("%q: a size with its unit, such as 512KiB or 8MB, is wanted here", text)
}

// String is the size as UnmarshalText reads it, in the largest binary unit that fits.
func (s Size) String() string {
	switch {
	case s != 0 && s%(1<<30) == 0:
		return strconv.FormatInt(int64(s>>30), 10) + "GiB"
	case s != 0 && s%(1<<20) == 0:
		return strconv.FormatInt(int64(s>>20), 10) + "MiB"
	case s != 0 && s%(1<<10) == 0:
		return strconv.FormatInt(int64(s>>10), 10) + "KiB"
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// PortRange is a range of ports, both ends in it, written "16384-32766".
type PortRange struct{ Low, High uint16 }

// UnmarshalText reads a range.
func (r *PortRange) UnmarshalText(text []byte) error {
	low, high, _ := strings.Cut(string(text), "-")
	l, lerr := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	h, herr := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if lerr != nil || herr != nil || l == 0 || l > h {
		return fmt.Errorf("%q: a range of ports, such as 16384-32766, is wanted here", text)
	}
	*r = PortRange{Low: uint16(l), High: uint16(h)}
	return nil
}

// String is the range as UnmarshalText reads it.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.Low, r.High) }

// Network is a range of addresses, written "192.0.2.0/24", or one address, written "192.0.2.7".
type Network struct{ netip.Prefix }

// UnmarshalText reads a network.
func (n *Network) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil && addr.Zone() == "" {
		n.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q: an address or a network, such as 192.0.2.7 or 192.0.2.0/24, is wanted here", text)
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("%q: the address has bits beyond the network; %s is meant?", text, prefix.Masked())
	}
	n.Prefix = prefix
	return nil
}

// Addresses are one address with a port, or a list of them. The first is the preferred one.
type Addresses []netip.AddrPort

// First is the preferred address; the zero AddrPort if there is none.
func (a Addresses) First() netip.AddrPort {
	if len(a) == 0 {
		return netip.AddrPort{}
	}
	return a[0]
}

// Toggle is a switch whose default may be on: zero is neither, and EnsureDefaults decides. It is written true or false.
type Toggle uint8

// The positions of a switch.
const (
	Unset Toggle = iota
	Off
	On
)

// UnmarshalText reads true or false.
func (t *Toggle) UnmarshalText(text []byte) error {
	on, err := parseBool(string(text))
	if err != nil {
		return fmt.Errorf("%q: true or false is wanted here", text)
	}
	*t = Off
	if on {
		*t = On
	}
	return nil
}

// On says whether the switch is on. One that is unset is not.
func (t Toggle) On() bool { return t == On }

// Or is the switch or, where it is unset, the default.
func (t Toggle) Or(unset Toggle) Toggle { return cmp.Or(t, unset) }

// String is the switch as UnmarshalText reads it.
func (t Toggle) String() string { return strconv.FormatBool(t == On) }
