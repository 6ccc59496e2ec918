// Package vault keeps secrets that must be read again, such as those that webhooks are signed with, so that who has the
// database but not the master key has none of them.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// A sealed secret is the version, the key's id, and what AES-256-GCM makes of the secret: a random nonce of 12 bytes, as
// many bytes as the secret has, and a tag of 16.
const (
	version   = 1
	keyBytes  = 32
	idBytes   = 8
	headBytes = 1 + idBytes
)

// label keeps the derived keys apart from whatever else is ever derived from the same master key.
const label = "xsynesis vault v1"

// ErrSealed is returned by [Vault.Open] for what it cannot open: it was sealed with a key that this vault does not have or
// for another row, or it was changed since. Which of them is not told.
var ErrSealed = errors.New("vault: cannot be opened")

// Vault seals with one key and opens with several. It is safe for concurrent use.
type Vault struct {
	keys []key // the first seals
}

type key struct {
	id   [idBytes]byte
	aead cipher.AEAD
}

// New makes a vault of master keys of 32 bytes each: the first seals, all of them open. Give a new key in front of the old
// one until everything is sealed anew, see [Vault.Stale].
func New(keys ...[]byte) (*Vault, error) {
	if len(keys) == 0 {
		return nil, errors.New("vault: needs a key")
	}
	v := &Vault{}
	for i, master := range keys {
		k, err := derive(master)
		if err != nil {
			return nil, fmt.Errorf("vault: key %d: %w", i+1, err)
		}
		v.keys = append(v.keys, k)
	}
	return v, nil
}

// derive makes a key and its id from a master key by HKDF. The id is no part of the key, so it can be stored openly.
func derive(master []byte) (key, error) {
	if len(master) != keyBytes {
		return key{}, fmt.Errorf("has %d bytes, not %d", len(master), keyBytes)
	}
	derived, err := hkdf.Key(sha256.New, master, nil, label, keyBytes+idBytes)
	if err != nil {
		return key{}, err
	}
	block, err := aes.NewCipher(derived[:keyBytes])
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, err
	}
	return key{id: [idBytes]byte(derived[keyBytes:]), aead: aead}, nil
}

// Seal encrypts secret for one place, named table/row/field as in "subscriptions/ws_…/secret". The same secret never looks
// the same twice.
func (v *Vault) Seal(row string, secret []byte) []byte {
	k := v.keys[0]
	sealed := make([]byte, 0, headBytes+k.aead.Overhead()+len(secret))
	sealed = append(sealed, version)
	sealed = append(sealed, k.id[:]...)
	return k.aead.Seal(sealed, nil, secret, associated(sealed, row)) //nolint:gosec // it makes the nonce itself
}

// Open decrypts what [Vault.Seal] made for the same row. Anything else is [ErrSealed].
func (v *Vault) Open(row string, sealed []byte) ([]byte, error) {
	if len(sealed) >= headBytes && sealed[0] == version {
		head, rest := sealed[:headBytes], sealed[headBytes:]
		for _, k := range v.keys {
			if k.id != [idBytes]byte(head[1:]) {
				continue
			}
			if secret, err := k.aead.Open(nil, nil, rest, associated(head, row)); err == nil {
				return secret, nil
			}
		}
	}
	return nil, fmt.Errorf("open %s: %w", row, ErrSealed)
}

// Stale reports whether sealed was not made with the key that seals now, and should be sealed anew.
func (v *Vault) Stale(sealed []byte) bool {
	return len(sealed) < headBytes || sealed[0] != version || [idBytes]byte(sealed[1:headBytes]) != v.keys[0].id
}

// associated binds a secret to its row and to the head that it is stored with.
func associated(head []byte, row string) []byte {
	return append(append(make([]byte, 0, len(head)+len(row)), head...), row...)
}
