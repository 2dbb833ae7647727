package main

import (
	"crypto/rand"
	"sync"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// toneName is the extension of --up that answers by itself.
const toneName = "4009"

// accounts are the office's users, with passwords made for this run.
var accounts = sync.OnceValue(func() []node.User {
	return []node.User{
		{Name: callerName, Password: rand.Text(), Display: "Phone One"},
		{Name: calleeName, Password: rand.Text(), Display: "Phone Two"},
		{Name: toneName, Password: rand.Text(), Display: "Tone"},
	}
})

func passwordOf(name string) string {
	for _, u := range accounts() {
		if u.Name == name {
			return u.Password
		}
	}
	return ""
}
