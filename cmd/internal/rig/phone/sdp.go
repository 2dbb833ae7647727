package phone

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// direction is a media direction attribute (RFC 8866 §6.7).
type direction string

const (
	sendRecv direction = "sendrecv"
	sendOnly direction = "sendonly"
	recvOnly direction = "recvonly"
	inactive direction = "inactive"
)

func (d direction) sends() bool    { return d == sendRecv || d == sendOnly }
func (d direction) receives() bool { return d == sendRecv || d == recvOnly }

// mirror is the most that an answer may say to an offer of d (RFC 3264 §6.1).
func (d direction) mirror() direction {
	switch d {
	case sendOnly:
		return recvOnly
	case recvOnly:
		return sendOnly
	default:
		return d
	}
}

// description is what this phone reads of a session description.
type description struct {
	session, version string // of o=
	media            []string
	audio            netip.AddrPort // port 0: refused
	payloads         []int
	event            int // payload type of telephone-event; 0: none
	direction        direction
}

// parseSDP reads a description and refuses what RFC 8866 §5 forbids and a phone could stumble over.
func parseSDP(body []byte) (*description, error) {
	text := string(body)
	if !strings.HasPrefix(text, "v=0\r\no=") || !strings.HasSuffix(text, "\r\n") {
		return nil, fmt.Errorf("does not begin with v=0, o= or does not end with CRLF")
	}
	d := &description{direction: sendRecv}
	var address string
	inAudio := false
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		kind, value, ok := strings.Cut(line, "=")
		if !ok || len(kind) != 1 || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("bad line %q", line)
		}
		switch kind {
		case "m":
			d.media = append(d.media, value)
			inAudio = strings.HasPrefix(value, "audio ") && d.payloads == nil
			if inAudio {
				if err := d.parseAudio(value); err != nil {
					return nil, err
				}
			}
		case "o":
			f := strings.Fields(value)
			if len(f) != 6 {
				return nil, fmt.Errorf("bad origin %q", value)
			}
			d.session, d.version = f[1], f[2]
		case "c":
			if len(d.media) == 0 || inAudio {
				address = value
			}
		case "a":
			if len(d.media) == 0 || inAudio {
				d.attribute(value)
			}
		}
	}
	return d, d.setAddress(address)
}

func (d *description) parseAudio(value string) error {
	f := strings.Fields(value)
	if len(f) < 4 || f[2] != "RTP/AVP" {
		return fmt.Errorf("bad media line %q", value)
	}
	port, err := strconv.ParseUint(f[1], 10, 16)
	if err != nil {
		return fmt.Errorf("bad port in %q: %w", value, err)
	}
	d.audio = netip.AddrPortFrom(netip.Addr{}, uint16(port))
	for _, text := range f[3:] {
		payload, err := strconv.Atoi(text)
		if err != nil || payload < 0 || payload > 127 {
			return fmt.Errorf("bad payload type in %q", value)
		}
		d.payloads = append(d.payloads, payload)
	}
	return nil
}

func (d *description) attribute(value string) {
	switch direction(value) {
	case sendRecv, sendOnly, recvOnly, inactive:
		d.direction = direction(value)
	}
	if rest, ok := strings.CutPrefix(value, "rtpmap:"); ok {
		payload, encoding, _ := strings.Cut(rest, " ")
		if strings.EqualFold(encoding, "telephone-event/8000") {
			d.event, _ = strconv.Atoi(payload)
		}
	}
}

func (d *description) setAddress(value string) error {
	f := strings.Fields(value)
	if len(f) != 3 || f[0] != "IN" {
		return fmt.Errorf("bad connection %q", value)
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil || a.Is4() != (f[1] == "IP4") {
		return fmt.Errorf("bad connection %q", value)
	}
	d.audio = netip.AddrPortFrom(a, d.audio.Port())
	return nil
}

// codec is the first payload type that this phone speaks.
func (d *description) codec(allowed []voice.Codec) (voice.Codec, bool) {
	for _, payload := range d.payloads {
		if payload <= int(voice.PCMA) && slices.Contains(allowed, voice.Codec(payload)) {
			return voice.Codec(payload), true
		}
	}
	return 0, false
}

// writeSDP is an offer, or an answer to offer. Media lines of the offer other than the audio are refused, in
// their order (RFC 3264 §6).
func (c *Call) writeSDP(codecs []voice.Codec, dir direction, offer *description) []byte {
	local := c.voice.Local()
	family := "IP4"
	if local.Addr().Is6() {
		family = "IP6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=%s %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n",
		c.p.opt.Name, c.sdpSession, c.sdpVersion, family, local.Addr(), family, local.Addr())
	media, event := []string{"audio"}, voice.EventPayload
	if offer != nil {
		media, event = offer.media, offer.event
	}
	done := false
	for _, line := range media {
		if done || !strings.HasPrefix(line, "audio") {
			f := strings.Fields(line)
			fmt.Fprintf(&b, "m=%s 0 %s\r\n", f[0], strings.Join(f[2:], " "))
			continue
		}
		done = true
		writeAudio(&b, local.Port(), codecs, event, dir)
	}
	return []byte(b.String())
}

func writeAudio(b *strings.Builder, port uint16, codecs []voice.Codec, event int, dir direction) {
	fmt.Fprintf(b, "m=audio %d RTP/AVP", port)
	for _, codec := range codecs {
		fmt.Fprintf(b, " %d", codec)
	}
	if event != 0 {
		fmt.Fprintf(b, " %d", event)
	}
	b.WriteString("\r\n")
	for _, codec := range codecs {
		fmt.Fprintf(b, "a=rtpmap:%d %s/8000\r\n", codec, codec)
	}
	if event != 0 {
		fmt.Fprintf(b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", event, event)
	}
	fmt.Fprintf(b, "a=ptime:20\r\na=%s\r\n", dir)
}
