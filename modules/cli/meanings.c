/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "story.h"

#define CAPTURE "watch the next one on the wire: sngrep -c host {ip}"
#define REACH "sipsak -vv -s sip:{host}   (silent there too: host down, firewall, wrong port or transport)"
#define ASK "ask {name} with the Call-ID {sip}"
#define REGISTERED "is it registered? kamcmd ul.lookup location {user}"
#define FORMAT "compare the number that was sent ({user}) with the form {name} wants: +E.164, national, with a prefix"
#define CREDENTIALS "check user, realm and password for {name} in the script (uac_auth)"
#define CODECS "compare the offer with what the callee speaks: signalbox journal list --call {call} --json"

/* RFC 3261 21 and its extensions; 603, 607 and 608 also RFC 8197, RFC 8688. */
static const struct meaning sip[] = {
		{400, "malformed request", "a header the callee does not parse, or a message cut on the way", CAPTURE, NULL},
		{401, "credentials wanted", "the trunk asks for a login and the script gave none, or a wrong one", CREDENTIALS,
				NULL},
		{402, "payment required", "the account's credit is used up", ASK, NULL},
		{403, "forbidden", "this source address, caller number or destination is barred there", ASK, NULL},
		{404, "unknown there", "the number is unallocated, or the agent is not registered", FORMAT, REGISTERED},
		{405, "method not allowed", "the callee takes no INVITE on this address", CAPTURE, NULL},
		{406, "not acceptable", "the callee wants another content or codec", CODECS, NULL},
		{407, "credentials wanted", "the trunk asks for a login and the script gave none, or a wrong one", CREDENTIALS,
				NULL},
		{408, "no reply in time", "host down, firewall, wrong port or transport", REACH, NULL},
		{410, "gone", "the number was changed or given up", FORMAT, REGISTERED},
		{413, "message too large", "too many headers or too much SDP", CAPTURE, NULL},
		{415, "content type not taken", "a body the callee does not know", CAPTURE, NULL},
		{416, "URI scheme not taken", "tel: or sips: where sip: is wanted", FORMAT, NULL},
		{420, "extension not supported", "the INVITE has a Require the callee does not know", CAPTURE, NULL},
		{421, "extension wanted", "the callee insists on an extension (100rel, timer)", CAPTURE, NULL},
		{422, "session timer too short", "Session-Expires is under the callee's Min-SE",
				"raise the session timer of the caller or of the script (sst)", NULL},
		{423, "interval too short", "a registration's expiry, on a call: an odd peer", CAPTURE, NULL},
		{433, "caller is anonymous", "the callee takes no anonymous calls",
				"send a P-Asserted-Identity, or a number in From", NULL},
		{480, "not available now", "logged off, do-not-disturb, or the subscriber is out of reach", ASK, REGISTERED},
		{481, "no such dialog", "the callee restarted, or the message went to another host", CAPTURE, NULL},
		{482, "loop", "the call came back to a proxy that had it already",
				"look for the own address among the destinations: signalbox journal list --call {call} --json", NULL},
		{483, "too many hops", "a loop over several proxies",
				"look for the own address among the destinations: signalbox journal list --call {call} --json", NULL},
		{484, "number incomplete", "digits are missing, or the callee wants another form", FORMAT, NULL},
		{485, "number ambiguous", "the callee knows several of that name", FORMAT, NULL},
		{486, "busy", "the callee is on another call",
				"nothing is wrong with the route; offer overflow or a queue for busy", NULL},
		{487, "cancelled", "the caller, or the proxy, gave up before an answer",
				"how long it rang stands in the ladder; compare with the ring time of the script", NULL},
		{488, "no common codec", "no codec or no SRTP mode both sides have", CODECS, NULL},
		{489, "event package not known", "a subscription, not a call", CAPTURE, NULL},
		{491, "two offers at once", "both sides changed the session at the same time", CAPTURE, NULL},
		{493, "body not decipherable", "S/MIME that the callee cannot read", CAPTURE, NULL},
		{500, "internal error there", "a fault in the callee's system", ASK, NULL},
		{501, "not implemented there", "the callee does not know the method", CAPTURE, NULL},
		{502, "bad gateway", "what is behind the callee answered nonsense", ASK, NULL},
		{503, "out of service or overloaded", "no free channel, maintenance, or a rate limit",
				"is it every call? signalbox journal list --type call.failed --since 1h   then " ASK, NULL},
		{504, "gateway time-out", "what is behind the callee did not answer it", ASK, NULL},
		{505, "SIP version not taken", "not SIP/2.0 on the first line", CAPTURE, NULL},
		{513, "message too large", "too many headers, or UDP fragments lost", CAPTURE, NULL},
		{580, "preconditions failed", "QoS or 3GPP preconditions that cannot be met", CAPTURE, NULL},
		{600, "busy everywhere", "every device of the callee is in a call",
				"nothing is wrong with the route; offer overflow or a queue for busy", NULL},
		{603, "declined", "the callee pressed reject, or analytics of the network refused the caller number",
				"does it reject others too? signalbox journal list --number {user} --type call.failed", NULL},
		{604, "exists nowhere", "the number is unallocated", FORMAT, REGISTERED},
		{606, "not acceptable anywhere", "no codec, bandwidth or address family in common", CODECS, NULL},
		{607, "unwanted", "the callee marked the caller as unwanted",
				"check the reputation of the caller number with its carrier", NULL},
		{608, "rejected by analytics", "a network in between takes the caller number for spam",
				"the Call-Info of the 608 says whom to ask (RFC 8688); " ASK, NULL},
};

static const struct meaning sip_class[] = {
		{300, "redirected", "the callee named other addresses and the script did not follow",
				"follow it in the script: get_redirects()", NULL},
		{400, "refused", "the callee does not take the request as it is", CAPTURE, NULL},
		{500, "failed there", "a fault in the callee's system", ASK, NULL},
		{600, "refused everywhere", "the callee wants this call on no device", ASK, NULL},
};

/* ITU-T Q.850 */
static const struct meaning q850[] = {
		{1, "unallocated number", "nobody has this number", FORMAT, REGISTERED},
		{2, "no route to transit network", "the carrier's carrier is wrong or closed", ASK, NULL},
		{3, "no route to destination", "the carrier does not serve this destination",
				"route this prefix over another trunk, or " ASK, NULL},
		{4, "send special tone", "the network plays why", "listen to the early media", NULL},
		{5, "trunk prefix misdialled", "a prefix too much", FORMAT, NULL},
		{6, "channel unacceptable", "ISDN behind a gateway", ASK, NULL},
		{16, "normal clearing", "somebody hung up", NULL, NULL},
		{17, "user busy", "the callee is on another call",
				"nothing is wrong with the route; offer overflow or a queue for busy", NULL},
		{18, "no user responding", "the line did not react: device off, out of coverage", ASK, NULL},
		{19, "no answer", "it rang and nobody took it",
				"nothing is wrong with the route; offer overflow or a voice box", NULL},
		{20, "subscriber absent", "mobile switched off or out of coverage", NULL, REGISTERED},
		{21, "call rejected", "the callee refused, or a block on the caller number", ASK, NULL},
		{22, "number changed", "the callee has a new number", "correct the number in the address book", NULL},
		{23, "redirected to a new destination", "a diversion", NULL, NULL},
		{25, "exchange routing error", "a loop or a table fault in the network", ASK, NULL},
		{26, "non-selected user clearing", "another device of the callee took it", NULL, NULL},
		{27, "destination out of order", "the callee's line or gateway is down", ASK, NULL},
		{28, "invalid number format", "digits missing, or the wrong form", FORMAT, NULL},
		{29, "facility rejected", "a service the network does not give", ASK, NULL},
		{31, "normal, unspecified", "the network does not say more", NULL, NULL},
		{34, "no circuit available", "all channels are taken",
				"is it every call? signalbox journal list --type call.failed --since 1h   then " ASK, NULL},
		{38, "network out of order", "an outage", ASK, NULL},
		{41, "temporary failure", "a fault that may be over at the next try", "try again; if it stays: " ASK, NULL},
		{42, "switch congestion", "an exchange is overloaded", ASK, NULL},
		{43, "information discarded", "user information was dropped", ASK, NULL},
		{44, "requested channel not available", "all channels are taken, or one is stuck", ASK, NULL},
		{47, "resource unavailable", "no channel, no transcoder", ASK, NULL},
		{50, "facility not subscribed", "the contract does not have it", ASK, NULL},
		{55, "incoming calls barred", "closed user group", ASK, NULL},
		{57, "bearer not authorised", "the contract does not allow this kind of call", ASK, NULL},
		{58, "bearer not available now", "no channel for this kind of call", ASK, NULL},
		{63, "service not available", "the network does not say more", ASK, NULL},
		{65, "bearer not implemented", "video or data where only voice works", CODECS, NULL},
		{79, "service not implemented", "the network does not say more", ASK, NULL},
		{81, "invalid call reference", "both sides disagree about the call", CAPTURE, NULL},
		{86, "call with that identity cleared", "both sides disagree about the call", CAPTURE, NULL},
		{87, "not in the closed user group", "the contract", ASK, NULL},
		{88, "incompatible destination", "no codec or bearer in common", CODECS, NULL},
		{95, "invalid message", "a message the network does not parse", CAPTURE, NULL},
		{96, "mandatory element missing", "a message the network does not take", CAPTURE, NULL},
		{97, "message type unknown", "a message the network does not take", CAPTURE, NULL},
		{99, "element unknown", "a message the network does not take", CAPTURE, NULL},
		{100, "invalid element contents", "a message the network does not take", CAPTURE, NULL},
		{102, "recovery on timer expiry", "something in between did not answer in time: session timer, media time-out",
				CAPTURE, NULL},
		{103, "parameter passed on", "a message the network does not know", CAPTURE, NULL},
		{111, "protocol error", "the two sides speak different dialects", CAPTURE, NULL},
		{127, "interworking", "a gateway could not say more", ASK, NULL},
};

static const struct meaning *look_up(const struct meaning *row, size_t rows, uint64_t code)
{
	for(size_t i = 0; i < rows; i++) {
		if(row[i].code == code)
			return &row[i];
	}
	return NULL;
}

const struct meaning *sip_meaning(uint64_t code)
{
	const struct meaning *m = look_up(sip, sizeof(sip) / sizeof(sip[0]), code);
	return m != NULL ? m : look_up(sip_class, sizeof(sip_class) / sizeof(sip_class[0]), code / 100 * 100);
}

const struct meaning *q850_meaning(uint64_t cause)
{
	return look_up(q850, sizeof(q850) / sizeof(q850[0]), cause);
}
