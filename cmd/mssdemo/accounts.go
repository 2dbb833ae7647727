package main

import (
	"crypto/rand"
	"sync"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// What the demonstration calls things.
const (
	londonNumbers   = "4xxx"
	hongkongNumbers = "1xxx"
	callerName      = "4001" // London, over UDP
	neighbourName   = "4002" // London, over TCP
	calleeName      = "1001" // Hong Kong, over TCP
	farNeighbour    = "1002" // Hong Kong, over UDP
	toneName        = "4009" // London; answers by itself with --up
	farToneName     = "1009" // Hong Kong; answers by itself with --up
)

// tones are what the phones send, in hertz; none is a harmonic of another.
var tones = map[string]float64{callerName: 440, calleeName: 620, neighbourName: 910, farNeighbour: 770, toneName: 440, farToneName: 620}

// londoners and hongkongers are the offices' users, with passwords made for this run.
var (
	londoners = sync.OnceValue(func() []node.User {
		return []node.User{
			{Name: callerName, Password: rand.Text(), Display: "London One"},
			{Name: neighbourName, Password: rand.Text(), Display: "London Two"},
			{Name: toneName, Password: rand.Text(), Display: "London Tone"},
		}
	})
	hongkongers = sync.OnceValue(func() []node.User {
		return []node.User{
			{Name: calleeName, Password: rand.Text(), Display: "Hong Kong One"},
			{Name: farNeighbour, Password: rand.Text(), Display: "Hong Kong Two"},
			{Name: farToneName, Password: rand.Text(), Display: "Hong Kong Tone"},
		}
	})
)

func passwordOf(name string) string {
	for _, u := range append(londoners(), hongkongers()...) {
		if u.Name == name {
			return u.Password
		}
	}
	return ""
}
