"""Runs single cases: the client that a case of the suite drives.

The cases were written for autobahn 0.10.9's protocol classes, with a few methods
that the suite's own (Python 2 only) FuzzingProtocol added. This module is those
few methods, and the border between the cases' text and the wire's bytes.
"""

import time

import txaio
import zope.interface

zope.interface.implements = lambda *_: None  # one case uses it as Python 2's class advice
txaio.use_twisted()

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS  # noqa: E402
from twisted.internet import reactor  # noqa: E402


def octets(text):
    """A case's text holds one byte in each character."""
    return text.encode("latin-1") if isinstance(text, str) else text


class CaseProtocol(WebSocketClientProtocol):
    """One connection, one case."""

    def connectionMade(self):
        self.began = time.monotonic()
        self.connectionWasOpen = False  # cases read it
        # The books that cases read their statistics from.
        self.createWirelog, self.createStats, self.wirelog = True, True, []
        self.rxOctetStats, self.rxFrameStats = {}, {}
        self.txOctetStats, self.txFrameStats = {}, {}
        super().connectionMade()

    # What FuzzingProtocol offers to cases.

    def enableWirelog(self, on):
        self.createWirelog = on

    def logRxOctets(self, data):
        pass

    def logTxOctets(self, data, sync):
        pass

    def logRxFrame(self, header, payload):
        self.rxFrameStats[header.opcode] = self.rxFrameStats.get(header.opcode, 0) + 1

    def logTxFrame(self, header, *_):
        self.txFrameStats[header.opcode] = self.txFrameStats.get(header.opcode, 0) + 1

    def continueLater(self, delay, step, tag=None):
        reactor.callLater(delay, lambda: self._alive() and step())

    def killAfter(self, delay):
        reactor.callLater(delay, lambda: self._alive() and self.failConnection())

    def closeAfter(self, delay):
        reactor.callLater(delay, lambda: self._alive() and self.sendClose())

    def _alive(self):
        return self.state != WebSocketClientProtocol.STATE_CLOSED

    # Out: text to bytes.

    def sendFrame(self, opcode, payload=b"", payload_len=None, **rest):
        payload = octets(payload)
        if payload_len is not None:  # repeated here, because autobahn 0.10.9 divides with `/`
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        return super().sendFrame(opcode, payload, **rest)

    def sendMessage(self, payload, isBinary=False, *rest, **named):
        isBinary = named.pop("binary", isBinary)
        return super().sendMessage(octets(payload), isBinary, *rest, **named)

    def sendMessageFrame(self, payload, sync=False):
        return super().sendMessageFrame(octets(payload), sync)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(octets(payload), sync)

    def sendPing(self, payload=None):
        return super().sendPing(octets(payload) or None)

    def sendPong(self, payload=None):
        return super().sendPong(octets(payload) or None)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        return super().sendCloseFrame(code, octets(reasonUtf8), isReply)

    # In: bytes to text.

    def onOpen(self):
        self.connectionWasOpen = True
        self.case.onOpen()

    def onMessage(self, message, is_binary):
        self.case.onMessage(message.decode("latin-1"), is_binary)

    def onPong(self, payload):
        self.case.onPong(payload.decode("latin-1") if payload is not None else None)

    def onClose(self, was_clean, code, reason):
        self.case.onClose(was_clean, code, reason)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        try:
            self.case.onConnectionLost(self.failedByMe)
            verdict = {
                "behavior": self.case.behavior,
                "close": self.case.behaviorClose,
                "result": f"{self.case.result} {self.case.resultClose}",
            }
        except Exception as fault:  # a fault of this driver is never a pass
            verdict = failure(f"the driver failed: {fault!r}")
        verdict["ms"] = round(1000 * (time.monotonic() - self.began))
        self.factory.finish(verdict)


class CaseFactory(WebSocketClientFactory):
    """Opens the one connection of a case, and reports its verdict once."""

    noisy = False

    def __init__(self, url, case_class, messages, done):
        super().__init__(url, useragent="tidings-tests")
        self.case_class, self.messages, self.done = case_class, messages, done
        self.logOctets = self.logFrames = True
        # A case wants to see the close handshake, not a dropped TCP connection.
        self.setProtocolOptions(failByDrop=False)

    def buildProtocol(self, address):
        protocol = CaseProtocol()
        protocol.factory = self
        protocol.case = self.case_class(protocol)
        if self.messages and hasattr(protocol.case, "COUNT"):
            protocol.case.COUNT = self.messages
        return protocol

    def clientConnectionFailed(self, connector, reason):
        self.finish(failure(f"cannot connect: {reason.getErrorMessage()}"))

    def clientConnectionLost(self, connector, reason):
        pass  # the protocol reported already

    def finish(self, verdict):
        if self.done:
            done, self.done = self.done, None
            done(verdict)


def failure(why):
    """A verdict for what no case decided."""
    return {"behavior": "FAILED", "close": "FAILED", "result": why, "ms": 0}


def start(url, case_class, messages, done):
    """Runs one case; `done(verdict)` is called when its connection has ended."""
    connectWS(CaseFactory(url, case_class, messages, done), timeout=5)
