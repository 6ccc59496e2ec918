package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrPINForm is returned for a PIN that is not 4 to 8 digits, or one that everybody tries first.
var ErrPINForm = errors.New("access: not a PIN to use")

// What a PIN costs to check (OWASP's second choice for argon2id): 19 MiB, two passes.
const (
	pinMemory = 19 * 1024 // KiB
	pinPasses = 2
	pinKey    = 32
	pinSalt   = 16
)

func cleanPIN(pin string) (string, error) {
	pin = strings.TrimSpace(pin)
	if len(pin) < 4 || len(pin) > 8 || strings.Trim(pin, "0123456789") != "" {
		return "", ErrPINForm
	}
	if strings.Count(pin, pin[:1]) == len(pin) || strings.Contains("0123456789", pin) || strings.Contains("9876543210", pin) {
		return "", ErrPINForm
	}
	return pin, nil
}

// sealPIN is how a PIN is kept: with its salt, and with what it costs, so that a later version may ask more.
func sealPIN(pin string) string {
	var salt [pinSalt]byte
	_, _ = rand.Read(salt[:])
	key := argon2.IDKey([]byte(pin), salt[:], pinPasses, pinMemory, 1, pinKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, pinMemory, pinPasses,
		base64.RawStdEncoding.EncodeToString(salt[:]), base64.RawStdEncoding.EncodeToString(key))
}

// isPIN tells whether this is the PIN that was kept.
func isPIN(sealed, pin string) bool {
	parts := strings.Split(sealed, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	var version int
	var memory, passes uint32
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &memory, &passes); err != nil {
		return false
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(key) == 0 {
		return false
	}
	given := argon2.IDKey([]byte(pin), salt, passes, memory, 1, uint32(len(key)))
	return subtle.ConstantTimeCompare(given, key) == 1
}
