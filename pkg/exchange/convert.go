package exchange

import (
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// maxElements bounds every list of one set of attributes.
const maxElements = 64

func encodeNLRI(n federation.NLRI, domain federation.Domain) *exchangev1.Nlri {
	e := &exchangev1.Nlri{Family: exchangev1.Family(n.Family), Key: n.Key, MinLen: uint32(n.MinLen), MaxLen: uint32(n.MaxLen)}
	if n.Domain != domain {
		e.Domain = string(n.Domain)
	}
	return e
}

func (s *Session) decodeNLRI(e *exchangev1.Nlri) (federation.NLRI, error) {
	if e.GetMinLen() > math.MaxUint8 || e.GetMaxLen() > math.MaxUint8 || e.GetFamily() < 0 || e.GetFamily() > math.MaxUint8 {
		return federation.NLRI{}, fmt.Errorf("prefix %q: family %d, lengths %d to %d", e.GetKey(), e.GetFamily(), e.GetMinLen(), e.GetMaxLen())
	}
	n := federation.NLRI{
		Domain: federation.Domain(e.GetDomain()), Family: federation.Family(e.GetFamily()), Key: e.GetKey(),
		MinLen: uint8(e.GetMinLen()), MaxLen: uint8(e.GetMaxLen()),
	}
	if n.Domain == "" {
		n.Domain = s.config.Domain
	}
	if err := n.Check(); err != nil {
		return n, err
	}
	if !s.families[n.Family] {
		return n, fmt.Errorf("%s: the family %s was not agreed", n, n.Family)
	}
	return n, nil
}

func encodeCause(c federation.Cause) *exchangev1.Cause {
	if c.Node == "" {
		return nil
	}
	return &exchangev1.Cause{Node: string(c.Node), Epoch: c.Epoch, Revision: c.Revision}
}

func decodeCause(c *exchangev1.Cause) federation.Cause {
	return federation.Cause{Node: federation.NodeID(c.GetNode()), Epoch: c.GetEpoch(), Revision: c.GetRevision()}
}

func encodeAttributes(a *federation.Attributes) *exchangev1.Attributes {
	e := &exchangev1.Attributes{
		Origin: &exchangev1.Origin{
			Node: string(a.Origin.Node), Site: string(a.Origin.Site), Epoch: a.Origin.Epoch, Seq: a.Origin.Seq, Group: a.Origin.Group,
		},
		RoutedPath: toStrings(a.RoutedPath), Communities: toStrings(a.Communities),
		Cost: a.Cost, Priority: a.Priority, Otc: string(a.OTC), Emergency: a.Emergency,
	}
	for _, p := range a.AdvPath {
		e.AdvPath = append(e.AdvPath, &exchangev1.PathElement{Node: string(p.Node), Epoch: p.Epoch})
	}
	for _, h := range a.NextHops {
		e.NextHops = append(e.NextHops, &exchangev1.NextHop{
			Node: string(h.Node), Uri: h.URI, Transport: h.Transport, Srv: h.SRV, Weight: h.Weight, SocketGroup: h.SocketGroup,
		})
	}
	encodeExtras(a, e)
	return e
}

func encodeExtras(a *federation.Attributes, e *exchangev1.Attributes) {
	if f := a.Fallback; f != (federation.Fallback{}) {
		e.PstnFallback = &exchangev1.PstnFallback{E164: string(f.E164), Strip: f.Strip, Prepend: f.Prepend}
	}
	if m := &a.Media; m.Video || m.SRTP || m.T38 || m.VoiceDirect || len(m.Codecs) > 0 {
		e.MediaCaps = &exchangev1.MediaCaps{Video: m.Video, Srtp: m.SRTP, T38: m.T38, Codecs: m.Codecs, VoiceDirect: m.VoiceDirect}
	}
	if !a.ValidUntil.IsZero() {
		e.ValidUntil = a.ValidUntil.Unix()
	}
	if c := a.Capacity; c != (federation.Capacity{}) {
		e.CapacityClass = &exchangev1.CapacityClass{MaxCalls: c.MaxCalls, CallsPerSecond: c.CallsPerSecond}
	}
	if len(a.Authorised) > 0 || len(a.Bundle) > 0 || len(a.Signature) > 0 {
		e.Authorization = &exchangev1.Authorization{NoaIds: a.Authorised, Bundle: a.Bundle, Signature: a.Signature}
	}
}

// intern decodes attributes; equal ones give one value, which routes then share. Fields that this version
// does not know are dropped, never passed on.
func (s *Session) intern(e *exchangev1.Attributes) (*federation.Attributes, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	if a := s.in.interned[string(raw)]; a != nil {
		return a, nil
	}
	a, err := decodeAttributes(e)
	if err != nil {
		return nil, err
	}
	if len(s.in.interned) >= maxInterned {
		clear(s.in.interned) // routes keep theirs; new ones share anew
	}
	s.in.interned[string(raw)] = a
	return a, nil
}

func decodeAttributes(e *exchangev1.Attributes) (*federation.Attributes, error) {
	o := e.GetOrigin()
	a := &federation.Attributes{
		Origin: federation.Origin{
			Node: federation.NodeID(o.GetNode()), Site: federation.SiteID(o.GetSite()), Epoch: o.GetEpoch(), Seq: o.GetSeq(), Group: o.GetGroup(),
		},
		RoutedPath: fromStrings[federation.NodeID](e.GetRoutedPath()), Communities: fromStrings[federation.Community](e.GetCommunities()),
		Cost: e.GetCost(), Priority: e.GetPriority(), OTC: federation.NodeID(e.GetOtc()), Emergency: e.GetEmergency(),
		Authorised: e.GetAuthorization().GetNoaIds(), Bundle: e.GetAuthorization().GetBundle(), Signature: e.GetAuthorization().GetSignature(),
	}
	for _, p := range e.GetAdvPath() {
		a.AdvPath = append(a.AdvPath, federation.PathElement{Node: federation.NodeID(p.GetNode()), Epoch: p.GetEpoch()})
	}
	for _, h := range e.GetNextHops() {
		a.NextHops = append(a.NextHops, federation.NextHop{
			Node: federation.NodeID(h.GetNode()), URI: h.GetUri(), Transport: h.GetTransport(), SRV: h.GetSrv(), Weight: h.GetWeight(), SocketGroup: h.GetSocketGroup(),
		})
	}
	if f := e.GetPstnFallback(); f != nil {
		a.Fallback = federation.Fallback{E164: federation.Number(f.GetE164()), Strip: f.GetStrip(), Prepend: f.GetPrepend()}
	}
	if m := e.GetMediaCaps(); m != nil {
		a.Media = federation.MediaCaps{Video: m.GetVideo(), SRTP: m.GetSrtp(), T38: m.GetT38(), Codecs: m.GetCodecs(), VoiceDirect: m.GetVoiceDirect()}
	}
	if c := e.GetCapacityClass(); c != nil {
		a.Capacity = federation.Capacity{MaxCalls: c.GetMaxCalls(), CallsPerSecond: c.GetCallsPerSecond()}
	}
	if v := e.GetValidUntil(); v > 0 {
		a.ValidUntil = time.Unix(v, 0).UTC()
	}
	return a, checkAttributes(a, e)
}

func checkAttributes(a *federation.Attributes, e *exchangev1.Attributes) error {
	switch {
	case a.Origin.Node == "":
		return errors.New("attributes without an origin")
	case len(a.AdvPath) == 0 || a.AdvPath[0].Node != a.Origin.Node:
		return fmt.Errorf("the path does not begin with its origin %q", a.Origin.Node)
	case max(len(a.AdvPath), len(a.RoutedPath), len(a.NextHops), len(a.Communities), len(a.Media.Codecs), len(a.Authorised)) > maxElements:
		return fmt.Errorf("a list with more than %d elements", maxElements)
	case e.GetValidUntil() < 0:
		return fmt.Errorf("valid until %d", e.GetValidUntil())
	case e.GetWindow() != nil:
		return errors.New("a time window, whose capability was not agreed")
	}
	return nil
}

func toStrings[T ~string](list []T) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

func fromStrings[T ~string](list []string) []T {
	var out []T
	for _, v := range list {
		out = append(out, T(v))
	}
	return out
}
