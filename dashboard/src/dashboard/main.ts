import '../style/base.css';
import './dashboard.css';
import { byId, fill, h } from '../dom';

fill(byId('main'), h('h1', {}, 'dashboard'));
