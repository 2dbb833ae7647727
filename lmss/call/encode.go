package call

import (
	"fmt"
	"net/netip"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/tagged"
)

// The versions of a stored call and of a note. Fields may be added with new numbers; a change that an earlier build
// would misread takes a new version. testdata has a sample of each.
const (
	recordVersion = 1
	noteVersion   = 1
)

func (r *record) append(dst []byte) []byte {
	dst = tagged.Append(dst, recordVersion)
	dst = tagged.String(dst, 1, r.ID)
	dst = tagged.String(dst, 2, r.Session)
	dst, begin := tagged.Open(dst, 3)
	dst = tagged.Close(r.A.append(dst), begin)
	dst, begin = tagged.Open(dst, 4)
	dst = tagged.Close(r.B.append(dst), begin)
	dst, begin = tagged.Open(dst, 5)
	return tagged.Close(r.CDR.Append(dst), begin)
}

func (r *record) read(data []byte) error {
	err := tagged.Read(data, recordVersion, func(f tagged.Field) error {
		switch f.Number {
		case 1:
			r.ID = f.String()
		case 2:
			r.Session = federation.SessionID(f.String())
		case 3:
			return tagged.ReadFields(f.Inside(), r.A.take)
		case 4:
			return tagged.ReadFields(f.Inside(), r.B.take)
		case 5:
			return r.CDR.Read(f.Inside())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read stored call: %w", err)
	}
	return nil
}

func (r *legRecord) append(dst []byte) []byte {
	dst = tagged.String(dst, 1, r.User)
	dst = tagged.String(dst, 2, r.Instance)
	dst = tagged.Bool(dst, 3, r.NAT)
	dst = tagged.String(dst, 4, r.Node)
	dst = tagged.String(dst, 5, r.CallID)
	dst = tagged.String(dst, 6, r.LocalTag)
	dst = tagged.String(dst, 7, r.RemoteTag)
	dst = tagged.String(dst, 8, r.Local)
	dst = tagged.String(dst, 9, r.Remote)
	dst = tagged.Uint(dst, 10, r.LocalSeq)
	dst = tagged.Uint(dst, 11, r.RemoteSeq)
	dst = tagged.Uint(dst, 12, r.OutSeq)
	dst = tagged.Uint(dst, 13, r.InviteSeq)
	dst = tagged.Strings(dst, 14, r.Routes)
	dst = tagged.Strings(dst, 15, r.Recorded)
	dst = tagged.String(dst, 16, r.Target)
	dst = appendFlow(dst, 17, r.Flow)
	dst = tagged.String(dst, 18, r.Answer)
	dst = tagged.Time(dst, 19, r.Answered)
	dst = tagged.String(dst, 20, r.AckBody)
	dst = tagged.Bool(dst, 21, r.Offerless)
	dst = tagged.String(dst, 32, r.Host)
	for _, addr := range r.Addrs {
		dst = tagged.Addr(dst, 33, addr)
	}
	return r.appendVoice(dst)
}

func (r *legRecord) appendVoice(dst []byte) []byte {
	dst = tagged.Uint(dst, 22, r.Endpoint)
	dst = tagged.Uint(dst, 23, r.Port)
	dst = tagged.Addr(dst, 24, r.Bind)
	dst = tagged.Addr(dst, 25, r.Shown)
	dst = tagged.Uint(dst, 26, r.SDPID)
	dst = tagged.Uint(dst, 27, r.SDPSeq)
	dst = tagged.String(dst, 28, r.LocalSDP)
	dst = tagged.Bool(dst, 29, r.Known)
	dst = tagged.Bool(dst, 30, r.Held)
	dst, begin := tagged.Open(dst, 31)
	return tagged.Close(appendAim(dst, &r.Aim), begin)
}

func (r *legRecord) take(f tagged.Field) error {
	switch f.Number {
	case 1:
		r.User = federation.User(f.String())
	case 2:
		r.Instance = f.String()
	case 3:
		r.NAT = f.Bool()
	case 4:
		r.Node = federation.NodeID(f.String())
	case 5:
		r.CallID = f.String()
	case 6:
		r.LocalTag = f.String()
	case 7:
		r.RemoteTag = f.String()
	case 8:
		r.Local = f.String()
	case 9:
		r.Remote = f.String()
	case 10:
		r.LocalSeq = uint32(f.Uint())
	case 11:
		r.RemoteSeq = uint32(f.Uint())
	case 12:
		r.OutSeq = uint32(f.Uint())
	case 13:
		r.InviteSeq = uint32(f.Uint())
	case 14:
		r.Routes = append(r.Routes, f.String())
	case 15:
		r.Recorded = append(r.Recorded, f.String())
	case 16:
		r.Target = f.String()
	case 17:
		return readFlow(f, &r.Flow)
	case 18:
		r.Answer = f.Bytes()
	case 19:
		r.Answered = f.Time()
	case 20:
		r.AckBody = f.Bytes()
	case 21:
		r.Offerless = f.Bool()
	case 32:
		r.Host = f.String()
	case 33:
		var addr netip.Addr
		err := f.Addr(&addr)
		r.Addrs = append(r.Addrs, addr)
		return err
	default:
		return r.takeVoice(f)
	}
	return nil
}

func (r *legRecord) takeVoice(f tagged.Field) error {
	switch f.Number {
	case 22:
		r.Endpoint = f.Uint()
	case 23:
		r.Port = f.Int()
	case 24:
		return f.Addr(&r.Bind)
	case 25:
		return f.Addr(&r.Shown)
	case 26:
		r.SDPID = f.Uint()
	case 27:
		r.SDPSeq = f.Uint()
	case 28:
		r.LocalSDP = f.Bytes()
	case 29:
		r.Known = f.Bool()
	case 30:
		r.Held = f.Bool()
	case 31:
		return readAim(f, &r.Aim)
	}
	return nil
}

// Append appends the note as it is kept.
func (n *Note) Append(dst []byte) []byte {
	dst = tagged.Append(dst, noteVersion)
	dst, begin := tagged.Open(dst, 1)
	dst = tagged.Close(n.CDR.Append(dst), begin)
	dst = n.Caller.append(dst, 2)
	dst = tagged.String(dst, 3, n.Refusal)
	for i := range n.Ringing {
		dst, begin = tagged.Open(dst, 4)
		dst = n.Ringing[i].Phone.append(dst, 1)
		dst = tagged.Close(tagged.String(dst, 2, n.Ringing[i].Invite), begin)
	}
	if n.Ended != nil {
		dst, begin = tagged.Open(dst, 5)
		dst = tagged.String(dst, 1, n.Ended.Class)
		dst = tagged.String(dst, 2, n.Ended.Reason)
		dst = tagged.Close(tagged.String(dst, 3, n.Ended.By), begin)
	}
	return tagged.Time(dst, 6, n.At)
}

// Read takes what Append wrote. n is to be zero.
func (n *Note) Read(data []byte) error {
	if err := tagged.Read(data, noteVersion, n.take); err != nil {
		return fmt.Errorf("read note of a call: %w", err)
	}
	return nil
}

func (n *Note) take(f tagged.Field) error {
	switch f.Number {
	case 1:
		return n.CDR.Read(f.Inside())
	case 2:
		return n.Caller.read(f)
	case 3:
		n.Refusal = f.Bytes()
	case 4:
		var r Ringing
		err := tagged.ReadFields(f.Inside(), r.take)
		n.Ringing = append(n.Ringing, r)
		return err
	case 5:
		n.Ended = &federation.Termination{}
		return tagged.ReadFields(f.Inside(), func(f tagged.Field) error {
			switch f.Number {
			case 1:
				n.Ended.Class = federation.TerminationClass(f.String())
			case 2:
				n.Ended.Reason = f.String()
			case 3:
				n.Ended.By = federation.Releaser(f.String())
			}
			return nil
		})
	case 6:
		n.At = f.Time()
	}
	return nil
}

func (r *Ringing) take(f tagged.Field) error {
	switch f.Number {
	case 1:
		return r.Phone.read(f)
	case 2:
		r.Invite = f.Bytes()
	}
	return nil
}

func (p *Phone) append(dst []byte, number tagged.Number) []byte {
	dst, begin := tagged.Open(dst, number)
	dst = tagged.String(dst, 1, p.User)
	dst = tagged.String(dst, 2, p.Instance)
	dst = tagged.String(dst, 3, p.Contact)
	dst = appendFlow(dst, 4, p.Flow)
	dst = tagged.String(dst, 5, p.Node)
	return tagged.Close(dst, begin)
}

func (p *Phone) read(f tagged.Field) error {
	return tagged.ReadFields(f.Inside(), func(f tagged.Field) error {
		switch f.Number {
		case 1:
			p.User = federation.User(f.String())
		case 2:
			p.Instance = f.String()
		case 3:
			p.Contact = f.String()
		case 4:
			return readFlow(f, &p.Flow)
		case 5:
			p.Node = federation.NodeID(f.String())
		}
		return nil
	})
}

func appendFlow(dst []byte, number tagged.Number, f siptransport.Flow) []byte {
	dst, begin := tagged.Open(dst, number)
	dst = tagged.Uint(dst, 1, f.Transport)
	dst = tagged.AddrPort(dst, 2, f.Local)
	dst = tagged.AddrPort(dst, 3, f.Remote)
	dst = tagged.Uint(dst, 4, f.ID)
	return tagged.Close(dst, begin)
}

func readFlow(f tagged.Field, flow *siptransport.Flow) error {
	return tagged.ReadFields(f.Inside(), func(f tagged.Field) error {
		switch f.Number {
		case 1:
			flow.Transport = siptransport.Transport(f.Uint())
		case 2:
			return f.AddrPort(&flow.Local)
		case 3:
			return f.AddrPort(&flow.Remote)
		case 4:
			flow.ID = siptransport.FlowID(f.Uint())
		}
		return nil
	})
}

func appendAim(dst []byte, a *media.Aim) []byte {
	dst = tagged.AddrPort(dst, 1, a.RTP)
	dst = tagged.AddrPort(dst, 2, a.RTCP)
	dst = tagged.Uint(dst, 3, a.Learn)
	dst = tagged.Bool(dst, 4, a.Send)
	dst = tagged.Bool(dst, 5, a.Receive)
	dst = tagged.Uint(dst, 6, a.Generation)
	dst = tagged.Uint(dst, 7, a.ClockRate)
	for from, to := range a.PayloadTypes {
		dst = tagged.Uint(dst, 8, uint32(from)<<8|uint32(to)|1<<16) // the mark keeps 0 to 0
	}
	return tagged.Bool(dst, 9, a.Keepalive)
}

func readAim(f tagged.Field, a *media.Aim) error {
	return tagged.ReadFields(f.Inside(), func(f tagged.Field) error {
		switch f.Number {
		case 1:
			return f.AddrPort(&a.RTP)
		case 2:
			return f.AddrPort(&a.RTCP)
		case 3:
			a.Learn = media.Learn(f.Uint())
		case 4:
			a.Send = f.Bool()
		case 5:
			a.Receive = f.Bool()
		case 6:
			a.Generation = uint32(f.Uint())
		case 7:
			a.ClockRate = uint32(f.Uint())
		case 8:
			if a.PayloadTypes == nil {
				a.PayloadTypes = map[uint8]uint8{}
			}
			a.PayloadTypes[uint8(f.Uint()>>8)] = uint8(f.Uint())
		case 9:
			a.Keepalive = f.Bool()
		}
		return nil
	})
}
