package phone

import (
	"crypto/md5" // #nosec G501 -- RFC 3261 §22.4 asks for it
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// answerChallenge is the Authorization value for a challenge (RFC 7616 §3.4, qop=auth or none). nc counts the
// uses of the nonce from 1.
func answerChallenge(challenge, method, uri, user, password string, nc uint32) (string, error) {
	c := sipmsg.ChallengeParams(challenge)
	hash, err := hasher(c["algorithm"])
	if err != nil {
		return "", err
	}
	if c["nonce"] == "" || c["realm"] == "" {
		return "", fmt.Errorf("challenge without realm or nonce: %q", challenge)
	}
	ha1 := hash(user + ":" + c["realm"] + ":" + password)
	ha2 := hash(method + ":" + uri)
	out := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, user, c["realm"], c["nonce"], uri)
	if qop := c["qop"]; qop == "" {
		out += fmt.Sprintf(`, response="%s"`, hash(ha1+":"+c["nonce"]+":"+ha2))
	} else {
		if !slices.Contains(strings.Split(strings.ReplaceAll(qop, " ", ""), ","), "auth") {
			return "", fmt.Errorf("challenge with unknown qop %q", qop)
		}
		cnonce, count := rand.Text(), fmt.Sprintf("%08x", nc)
		response := hash(strings.Join([]string{ha1, c["nonce"], count, cnonce, "auth", ha2}, ":"))
		out += fmt.Sprintf(`, response="%s", qop=auth, nc=%s, cnonce="%s"`, response, count, cnonce)
	}
	if c["algorithm"] != "" {
		out += ", algorithm=" + c["algorithm"]
	}
	if c["opaque"] != "" {
		out += fmt.Sprintf(`, opaque="%s"`, c["opaque"])
	}
	return out, nil
}

func hasher(algorithm string) (func(string) string, error) {
	switch strings.ToUpper(algorithm) {
	case "", "MD5":
		return func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }, nil // #nosec G401
	case "SHA-256":
		return func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }, nil
	}
	return nil, fmt.Errorf("challenge with unknown algorithm %q", algorithm)
}
