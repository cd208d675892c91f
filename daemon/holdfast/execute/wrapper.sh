# Holdfast's hand on a host. Plain POSIX sh: dash, bash and busybox run it alike. Linux only (/proc).
#
#   sh -c TEXT holdfast boot   NONCE STATE_DIR
#   sh -c TEXT holdfast run    NONCE STATE_DIR ATTEMPT DEADLINE_S IDEMPOTENT SKIP_WORDS WORD...
#   sh -c TEXT holdfast status NONCE STATE_DIR ATTEMPT
#   sh -c TEXT holdfast end    NONCE STATE_DIR ATTEMPT PID    (for minder.py: end the command; 1 if it cannot be)
#   sh -c TEXT holdfast prune  NONCE STATE_DIR                (the same, of old attempts)
#
# An attempt is a few files STATE_DIR/attempts/ATTEMPT@..., and making its `claim` (O_EXCL, by `set -C`)
# is the claim: whoever makes it first wins, so an attempt never starts twice. `status` makes it too when
# it is not there: what was not started by then can never start later, even if the request to start it
# is still on its way.
#
#   claim      boot id, supervisor, uptime at the start; or "sealed": never started, and never will be
#   leader     process id and start time of the command, written by itself before it becomes the command;
#              empty: minder.py was about to write it, and the command may be there
#   code       how the command ended; written while the output is still open
#   head tail  the first 48 KiB and the last 16 KiB of the output, whatever its length
#   killed     the deadline passed; skipped: the command was not needed
#   receipt    the end of it all; without its last line it counts as not there
#
# Nothing here is synced to disk: after a power cut the boot id differs, and then only a receipt counts.
# The answer starts with a line that holds NONCE (a login shell may have talked before), then name=value
# lines, an empty line, the raw output, and a last line with NONCE again.
#
# Limits: a process that leaves its group (setsid, a service manager's child) is not killed at the
# deadline; a command inherits SIGINT and SIGQUIT ignored, as every background command of sh does.
# Speed: a program started costs a millisecond, so the usual way uses nothing but the shell itself.
# HOLDFAST_BOOT_ID_FILE in the environment of the host's account stands in for the boot id: tests "reboot".

exec 2>/dev/null
verb=$1 nonce=$2 state=$3
shift 3
case $state in
/*) ;;
*) state=${HOME:-}/$state ;;
esac
boot=unknown
read -r boot <"${HOLDFAST_BOOT_ID_FILE:-/proc/sys/kernel/random/boot_id}"
fields=

uptime() {
	read -r up rest </proc/uptime
}

nap() {
	sleep 0.1 || sleep 1
}

# since PID: when that process started, in `started`, and its number, in `number`; false if it has ended
since() {
	started=
	[ -n "$1" ] || return 1
	IFS= read -r line <"/proc/$1/stat" || return 1
	number=${line%% *}
	# the name of the command is in brackets and may hold anything: fields count from behind it
	set -- ${line##*) }
	[ $# -ge 20 ] || return 1
	case $1 in
	Z | X | x) return 1 ;;
	esac
	shift 19
	started=$1
}

# alive PID STARTED: whether it is still that process, and not another one with a reused number
alive() {
	since "$1" && [ "$started" = "$2" ]
}

# group_lives LEADER: whether any process of the group has not ended
group_lives() {
	for entry in /proc/[0-9]*; do
		IFS= read -r line <"$entry/stat" || continue
		in_group "$1" ${line##*) } && return 0
	done
	return 1
}

in_group() {
	case $2 in
	Z | X | x) return 1 ;;
	esac
	[ "$4" = "$1" ]
}

# answer STATE: the header, the fields, and the output where there is a receipt
answer() {
	uptime
	printf 'holdfast %s\nstate=%s\nhere=%s\nnow=%s\n%s\n' "$nonce" "$1" "$boot" "$up" "$fields"
	if [ "$1" = ended ] && [ -s "$base@head" ]; then
		case $fields in
		*held=1*) cat "$base@head" ;;
		*) if [ -s "$base@tail" ]; then cat "$base@head" "$base@tail"; else cat "$base@head"; fi ;;
		esac
	fi
	printf '\nholdfast %s end\n' "$nonce"
}

# claim LINE...: 0 the attempt is ours, 1 somebody has it, 2 nothing can be written
claim() {
	made=0
	set -C
	{
		made=2
		printf '%s\n' "$@" && made=1
	} >"$base@claim"
	set +C
	case $made in
	1) return 0 ;;
	2) rm -f "$base@claim" ;;
	*) [ -e "$base@claim" ] && return 1 ;;
	esac
	return 2
}

# start: claim the attempt for this very process
start() {
	uptime
	begun=$up
	since $$
	claim "$boot" "$$ $started" "$begun"
}

# somewhere: start in a directory of our own that lasts until the command has ended
somewhere() {
	for place in /dev/shm /run /tmp; do
		place=$place/holdfast.$attempt.$nonce
		(umask 077 && mkdir "$place") || continue
		base=$place/$attempt
		start && return 0
		rm -rf "$place"
	done
	return 1
}

# become SKIP_WORDS WORD...: turn into the command, or end at once if the first words say "not needed"
become() {
	since self # $$ is the supervisor here
	printf '%s\n' "$number $started" >"$base@leader" || exit 125
	exec 2>&1
	skip=$1
	shift
	[ "$skip" != 0 ] || exec setsid "$@"
	exec setsid sh -c '
		skip=$1 mark=$2
		shift 2
		if (
			i=0
			while [ $i -lt $skip ]; do
				word=$1
				shift
				set -- "$@" "$word"
				i=$((i + 1))
			done
			shift $(($# - skip))
			exec "$@"
		) >/dev/null 2>&1; then
			echo 1 >"$mark"
			exit 0
		fi
		shift $skip
		exec "$@"
	' holdfast "$skip" "$base@skipped" "$@"
}

# lead SKIP_WORDS WORD...: start the command, wait for it, and wake the supervisor
lead() {
	trap : HUP TERM
	(
		trap - HUP TERM
		become "$@"
	) </dev/null &
	child=$!
	while :; do
		wait "$child"
		code=$?
		[ -d "/proc/$child" ] || break
	done
	# our end of the output is still open: whoever reads it to the end finds the code
	printf '%s\n' "$code" >"$base@code"
	# KILL: a shell that has just forked may still swallow TERM with the traps of its parent
	[ -e "$base@killed" ] || kill -s KILL "$timer"
}

# keep: the head and the tail of the output; reads to the end whatever happens, so that a command or
# a service that it leaves behind never meets a closed pipe
keep() {
	exec >/dev/null # for good: a redirected function would keep the old one open beside it
	trap '' HUP TERM
	# byte by byte: whatever was said is in the file at once, also when somebody keeps the pipe open
	dd bs=1 count=49152 of="$base@head" 2>"$base@kept" || cat
	read -r kept <"$base@kept"
	[ "${kept%+*}" != 49152 ] || tail -c 16384 >"$base@tail" || cat
}

# end_group: the deadline of the group of $leader has passed
end_group() {
	printf 1 >"$base@killed"
	for signal in TERM KILL; do
		[ -n "$leader" ] || break
		kill -s $signal -- "-$leader"
		uptime
		patience=$((${up%.*} + 2))
		while group_lives "$leader"; do
			uptime
			[ "${up%.*}" -lt $patience ] || continue 2
			nap
		done
		break
	done
	# sudo's child belongs to somebody else; whether we may end it is for sudo to say
	if [ -n "$leader" ] && group_lives "$leader"; then
		sudo -n kill -s KILL -- "-$leader" </dev/null >/dev/null
		nap
		group_lives "$leader" && left=1
	fi
}

# settle_output: wait until the output is complete, or until only a process left behind holds it open
settle_output() {
	for _ in 1 2 3 4; do
		since "$keeper" || return 0
	done
	trap : USR1
	(
		sleep 2
		kill -s USR1 $$
	) </dev/null >/dev/null &
	limit=$!
	wait "$keeper"
	kill -s KILL "$limit"
	since "$keeper" || return 0
	held=1
	cp "$base@head" "$base@now" && mv -f "$base@now" "$base@head"
}

digest() {
	if [ ! -s "$base@head" ]; then
		sum=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
	elif [ "$held" = 0 ] && [ -s "$base@tail" ]; then
		sum=$(cat "$base@head" "$base@tail" | sha256sum)
	else
		sum=$(sha256sum <"$base@head")
	fi
	sum=${sum%% *}
}

# supervise SKIP_WORDS WORD...: run the command to its end or its deadline, and write the receipt
supervise() {
	trap : HUP TERM
	held=0 killed=0 left=0 skipped=0
	sleep "$deadline" >/dev/null &
	timer=$!
	lead "$@" | keep &
	keeper=$!
	wait "$timer"
	while [ ! -s "$base@code" ]; do
		uptime
		if [ "${up%.*}" -ge $((${begun%.*} + deadline)) ]; then
			leader=
			read -r leader rest <"$base@leader"
			end_group
			until [ -s "$base@code" ]; do
				nap
			done
		else
			sleep 1
		fi
	done
	settle_output
	read -r code <"$base@code"
	[ -e "$base@killed" ] && killed=1
	[ -e "$base@skipped" ] && skipped=1
	digest
	uptime
	fields="boot=$boot
begun=$begun
ended=$up
exit=$code
killed=$killed
skipped=$skipped
held=$held
left=$left
sha256=$sum
"
	printf '%sdone\n' "$fields" >"$base@receipt"
}

run() {
	attempt=$1 deadline=$2 idempotent=$3
	shift 3
	base=$state/attempts/$attempt
	command -v setsid >/dev/null || {
		answer no-setsid
		exit 69
	}
	place=
	start
	case $? in
	1)
		report
		return
		;;
	2)
		if [ "$idempotent" != 1 ] || ! somewhere; then
			answer no-state
			exit 75
		fi
		;;
	esac
	supervise "$@" || [ -n "$place" ] || exit 74
	answer ended
	exec >&-
	if [ -n "$place" ]; then
		rm -rf "$place"
	else
		now_and_then
	fi
}

status() {
	attempt=$1
	base=$state/attempts/$attempt
	claim sealed
	if [ $? = 2 ]; then
		answer no-state
		exit 75
	fi
	report
}

# report: what is known about an attempt that somebody has claimed
report() {
	id=- claimed= pid= at=
	read -r id <"$state/id"
	{
		read -r claimed
		read -r pid at
	} <"$base@claim"
	fields="id=$id
boot=$claimed
"
	if [ "$claimed" = sealed ]; then
		answer none
	elif ended; then
		answer ended
	elif [ -z "$claimed" ]; then
		answer claiming
	elif [ "$claimed" = "$boot" ] && { alive "$pid" "$at" || leads; }; then
		answer running
	elif ended; then # it did so while we looked
		answer ended
	else
		answer lost
	fi
}

# ended: whether there is a whole receipt; it becomes the fields
ended() {
	receipt=
	while IFS= read -r line; do
		if [ "$line" = "done" ]; then
			fields=$receipt
			return 0
		fi
		receipt="$receipt$line
"
	done <"$base@receipt"
	return 1
}

# leads: whether the command lives; where its number could not be written down, its environment tells
leads() {
	pid= at=
	if [ -e "$base@leader" ] && [ ! -s "$base@leader" ]; then
		sleep 1 # it may be just about to become the command
		grep -qF "HOLDFAST_ATTEMPT=$base@" /proc/[0-9]*/environ
		return
	fi
	read -r pid at <"$base@leader"
	alive "$pid" "$at"
}

end() {
	base=$state/attempts/$1 leader=$2 left=0
	end_group
	exit "$left"
}

prune() {
	prune_many
}

# boot: what a connection has to know: which boot this is, and whose memory the state directory is
boot() {
	[ -d "$state/attempts" ] || (umask 077 && mkdir -p "$state/attempts")
	if [ ! -s "$state/id" ]; then
		read -r id </proc/sys/kernel/random/uuid
		(set -C && printf '%s\n' "$id" >"$state/id")
	fi
	id=-
	read -r id <"$state/id"
	fields="id=$id
"
	answer here
	exec >&-
	find "$state/attempts" -type f -mtime +14 -exec rm -f {} +
}

# now_and_then: to count the attempts costs more than to make one, so one in a hundred does
now_and_then() {
	turns=0
	read -r turns <"$state/turns"
	if [ "$turns" -gt 0 ]; then
		echo $((turns - 1)) >"$state/turns"
	else
		echo 99 >"$state/turns"
		prune_many
	fi
}

# prune_many: keep the newest 800 once there are more than 1000, and whatever has not ended
prune_many() {
	cd "$state/attempts" || return
	set -- *@claim
	[ $# -gt 1000 ] || return 0
	ls -t "$@" | tail -n +801 | while IFS= read -r old; do
		base=${old%@claim} claimed=
		read -r claimed <"$old"
		if [ "$claimed" = sealed ] || ended; then
			for part in claim leader code head kept tail killed skipped receipt; do
				echo "$base@$part"
			done
		fi
	done | xargs rm -f
}

case $verb in
boot | run | status | end | prune) "$verb" "$@" ;;
*) exit 64 ;;
esac
