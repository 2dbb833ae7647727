package sdpedit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/pkg/fault"
)

// Parse reads a description. It forgives what many devices do: lines ended by LF alone, a last line
// that is not ended, a missing s= or t=. It insists on what the rest relies on: v= and o= first, and a
// c= with an address for each media line that has a port.
func Parse(b []byte) (*Session, error) {
	if len(b) > MaxBytes {
		return nil, refuse(0, ErrTooLarge)
	}
	s := &Session{}
	if n, err := s.split(string(b)); err != nil {
		return nil, refuse(n, err)
	}
	if n, err := s.readHead(); err != nil {
		return nil, refuse(n+1, err)
	}
	defaults := s.sessionDefaults()
	for i := range s.Media {
		if n, err := s.readMedia(&s.Media[i], defaults); err != nil {
			return nil, refuse(n+1, err)
		}
	}
	return s, nil
}

// refuse names the line, counted from 1; 0 is none.
func refuse(line int, err error) error {
	subject := ""
	if line > 0 {
		subject = "line " + strconv.Itoa(line)
	}
	return &fault.Error{Op: "read SDP", Kind: fault.Invalid, Subject: subject, Err: err}
}

// split cuts the text into lines and counts the media. On error it returns the line's number.
func (s *Session) split(text string) (int, error) {
	text = strings.TrimRight(text, "\r\n")
	count := strings.Count(text, "\n") + 1
	if count > maxLines {
		return 0, ErrTooLarge
	}
	s.lines = make([]line, 0, count)
	media := 0
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimSuffix(l, "\r")
		if len(l) < 2 || l[1] != '=' || l[0] < 'a' || l[0] > 'z' || !printable(l) {
			return len(s.lines) + 1, ErrSyntax
		}
		if l[0] == 'm' {
			media++
		}
		s.lines = append(s.lines, line{l[0], l[2:]})
	}
	if media > MaxMedia {
		return 0, ErrTooLarge
	}
	s.Media = make([]Media, 0, media)
	return 0, nil
}

// printable says that a line has no control characters but tabs: what passes must stay one line.
func printable(l string) bool {
	for i := range len(l) {
		if l[i] < ' ' && l[i] != '\t' || l[i] == 0x7f {
			return false
		}
	}
	return true
}

// readHead checks the first two lines and finds the media lines. On error it returns the line's index.
func (s *Session) readHead() (int, error) {
	if len(s.lines) < 2 || s.lines[0] != (line{'v', "0"}) || s.lines[1].kind != 'o' {
		return 0, ErrNoOrigin
	}
	// "username sess-id sess-version nettype addrtype address": the last five never have blanks inside.
	f := strings.Fields(s.lines[1].value)
	n := len(f)
	if n < 6 {
		return 1, ErrSyntax
	}
	s.Origin = Origin{Username: f[0], SessionID: f[n-5], Version: f[n-4], Address: f[n-1]}
	s.head = len(s.lines)
	for i, l := range s.lines {
		if l.kind != 'm' {
			continue
		}
		if len(s.Media) == 0 {
			s.head = i
		} else {
			s.Media[len(s.Media)-1].last = i
		}
		s.Media = append(s.Media, Media{first: i, last: len(s.lines)})
	}
	return 0, nil
}

// sessionDefaults reads what the session level gives to all media.
func (s *Session) sessionDefaults() (d defaults) {
	for _, l := range s.lines[:s.head] {
		switch l.kind {
		case 'c':
			d.connection = l.value
		case 'a':
			if dir, ok := direction(l.value); ok {
				d.direction = dir
			}
		}
	}
	return d
}

type defaults struct {
	connection string
	direction  Direction
}

func direction(attribute string) (Direction, bool) {
	i := slices.Index(directions[:], attribute)
	return Direction(max(i, 0)), i >= 0 //nolint:gosec // one of four
}

// readMedia fills in one media line. On error it returns the line's index.
func (s *Session) readMedia(m *Media, d defaults) (int, error) {
	if err := m.readLine(s.lines[m.first].value); err != nil {
		return m.first, err
	}
	m.Direction = d.direction
	connection, rtcp := d.connection, ""
	for _, l := range s.lines[m.first+1 : m.last] {
		switch l.kind {
		case 'c':
			connection = l.value
		case 'a':
			if dir, ok := direction(l.value); ok {
				m.Direction = dir
			} else if v, ok := strings.CutPrefix(l.value, "rtcp:"); ok {
				rtcp = v
			} else if v, ok := strings.CutPrefix(l.value, "crypto:"); ok {
				m.Crypto = append(m.Crypto, v)
			} else {
				m.readFormat(l.value)
			}
		}
	}
	if connection == "" && m.Port == 0 {
		return 0, nil
	}
	var err error
	if m.Addr, err = address(connection); err != nil {
		return m.first, err
	}
	if m.Port != 0 {
		m.RTCP = m.rtcp(rtcp)
	}
	return 0, nil
}

// readLine reads "audio 49170 RTP/AVP 0 8 101"; a port may be followed by the number of ports.
func (m *Media) readLine(value string) error {
	var port string
	var ok bool
	if m.Kind, value, ok = cutField(value); !ok {
		return ErrSyntax
	}
	if port, value, ok = cutField(value); !ok {
		return ErrSyntax
	}
	if m.Proto, m.formats, ok = cutField(value); !ok {
		return ErrSyntax
	}
	port, _, _ = strings.Cut(port, "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ErrSyntax
	}
	m.Port = int(n) //nolint:gosec // 16 bits
	return m.readFormats()
}

// cutField takes the first word off s; ok wants that something follows it.
func cutField(s string) (word, rest string, ok bool) {
	word, rest, _ = strings.Cut(s, " ")
	rest = strings.TrimLeft(rest, " ")
	return word, rest, word != "" && rest != ""
}

func (m *Media) readFormats() error {
	if strings.Count(m.formats, " ") >= MaxFormats {
		return ErrTooLarge
	}
	if !strings.HasPrefix(m.Proto, "RTP/") && !strings.Contains(m.Proto, "/RTP/") {
		return nil
	}
	m.Formats = make([]Format, 0, strings.Count(m.formats, " ")+1)
	for word := range strings.SplitSeq(m.formats, " ") {
		if word == "" {
			continue
		}
		// A refused line may have anything in the place of its formats.
		pt, err := strconv.ParseUint(word, 10, 7)
		if err != nil && m.Port != 0 {
			return ErrSyntax
		}
		if err == nil && m.format(uint8(pt)) == nil {
			m.Formats = append(m.Formats, assigned(uint8(pt)))
		}
	}
	return nil
}

// format finds a payload type.
func (m *Media) format(pt uint8) *Format {
	for i := range m.Formats {
		if m.Formats[i].PT == pt {
			return &m.Formats[i]
		}
	}
	return nil
}

// readFormat takes an a=rtpmap or a=fmtp. What does not fit is none of ours to judge: it passes as an
// unknown attribute does.
func (m *Media) readFormat(attribute string) {
	name, value, _ := strings.Cut(attribute, ":")
	if name != "rtpmap" && name != "fmtp" {
		return
	}
	word, value, ok := cutField(value)
	pt, err := strconv.ParseUint(word, 10, 7)
	if !ok || err != nil {
		return
	}
	f := m.format(uint8(pt))
	switch {
	case f == nil:
	case name == "fmtp":
		f.Fmtp = value
	default:
		f.readMap(value)
	}
}

// readMap reads "opus/48000/2".
func (f *Format) readMap(value string) {
	encoding, value, _ := strings.Cut(value, "/")
	rate, channels, _ := strings.Cut(strings.TrimRight(value, " "), "/")
	hz, err := strconv.ParseUint(rate, 10, 31)
	if err != nil || encoding == "" {
		return
	}
	n := uint64(1)
	if channels != "" { // an error would cost an allocation on each line
		if c, err := strconv.ParseUint(channels, 10, 8); err == nil && c > 0 {
			n = c
		}
	}
	f.Encoding, f.Rate, f.Channels = encoding, int(hz), int(n) //nolint:gosec // 31 and 8 bits
}

// address reads "IN IP4 192.0.2.1"; what follows a slash is for multicast.
func address(connection string) (netip.Addr, error) {
	network, rest, ok := cutField(connection)
	if !ok {
		return netip.Addr{}, ErrNoConnection
	}
	family, text, ok := cutField(rest)
	if !ok || network != "IN" || family != "IP4" && family != "IP6" {
		return netip.Addr{}, ErrSyntax
	}
	text, _, _ = strings.Cut(strings.TrimRight(text, " "), "/")
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, ErrHostName
	}
	if a = a.Unmap(); a.Zone() != "" {
		return netip.Addr{}, ErrSyntax
	}
	return a, nil
}

// rtcp reads the value of a=rtcp (RFC 3605): a port, and an address if it is another one. An unreadable
// one is as good as none.
func (m *Media) rtcp(value string) netip.AddrPort {
	port, rest, _ := strings.Cut(value, " ")
	var n uint64
	var err error
	a := m.Addr
	if port != "" {
		n, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && rest != "" {
		a, err = address(rest)
	}
	if err != nil || n == 0 {
		return netip.AddrPortFrom(m.Addr, uint16(min(m.Port+1, 1<<16-1))) //nolint:gosec // bounded
	}
	return netip.AddrPortFrom(a, uint16(n))
}
